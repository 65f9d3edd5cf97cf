//! `cairn instances list`

use crate::Exit;
use crate::args::{ListArguments, StatusArgument};
use crate::client::{RequestError, read, segment};
use crate::failure::Failure;
use crate::moment::{Direction, now, parse, relative, short};
use crate::output::{Cell, Form, Look, Style, cell, table};
use crate::pages::{Found, Pages, Want};
use crate::remote::Remote;
use crate::steps::span;
use cairn_api::{InstanceRow, InstanceStatus, Time, TriggerSource};
use clap::ValueEnum;

/// The word of the API for a state.
pub(super) fn word(status: StatusArgument) -> String {
    status
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

/// The word of the API for a state that it told.
pub(super) fn status_word(status: InstanceStatus) -> &'static str {
    match status {
        InstanceStatus::Queued => "queued",
        InstanceStatus::Running => "running",
        InstanceStatus::Paused => "paused",
        InstanceStatus::Errored => "errored",
        InstanceStatus::Terminated => "terminated",
        InstanceStatus::Complete => "complete",
        InstanceStatus::WaitingForPause => "waitingForPause",
        InstanceStatus::Waiting => "waiting",
        InstanceStatus::RollingBack => "rollingBack",
    }
}

/// How a state looks.
pub(super) fn look(status: InstanceStatus) -> Look {
    match status {
        InstanceStatus::Complete => Look::Good,
        InstanceStatus::Errored | InstanceStatus::Terminated => Look::Bad,
        InstanceStatus::RollingBack | InstanceStatus::Paused | InstanceStatus::WaitingForPause => {
            Look::Warning
        }
        InstanceStatus::Queued | InstanceStatus::Running | InstanceStatus::Waiting => Look::Plain,
    }
}

/// What made an instance come to be, in a word.
pub(super) fn source(source: TriggerSource) -> &'static str {
    match source {
        TriggerSource::Unknown => "unknown",
        TriggerSource::Api => "api",
        TriggerSource::Binding => "binding",
        TriggerSource::Event => "event",
        TriggerSource::Cron => "cron",
    }
}

pub(super) async fn list(remote: &Remote, arguments: &ListArguments) -> Result<Exit, Failure> {
    let workflow = &arguments.workflow;
    let now = now();
    let mut query = Vec::new();
    if let Some(status) = arguments.status {
        query.push(("status", word(status)));
    }
    for (name, option, given) in [
        ("date_start", "--since", &arguments.since),
        ("date_end", "--until", &arguments.until),
    ] {
        if let Some(text) = given {
            query.push((name, parse(text, (option, Direction::Past), now)?.to_string()));
        }
    }
    if arguments.reverse {
        query.push(("direction", "asc".to_owned()));
    }
    let want = if arguments.all {
        Want::All
    } else {
        Want::AtMost(arguments.limit)
    };
    let path = format!("/workflows/{}/instances", segment(workflow));
    let found = match Pages::new(path, query, want).fetch(&remote.api).await {
        Ok(found) => found,
        Err(error) => {
            let doing = format!("Listing the instances of \"{workflow}\"");
            return Err(remote.about_workflow(error, &doing, workflow).await);
        }
    };
    print(remote, &found, now).map(|()| Exit::Complete)
}

fn print(remote: &Remote, found: &Found, now: Time) -> Result<(), Failure> {
    if remote.output.form() == Form::Json {
        return found.print_lines(remote);
    }
    if found.rows.is_empty() {
        remote.terminal.line("There are no such instances.");
        return Ok(());
    }
    let rows = rows(found).map_err(|error| remote.failure(error, "Listing the instances"))?;
    remote.output.text(&shown(remote.output.style(), &rows, now))?;
    found.tell_the_rest(remote, "instances");
    Ok(())
}

fn rows(found: &Found) -> Result<Vec<InstanceRow>, RequestError> {
    found.rows.iter().map(|row| read(row)).collect()
}

fn shown(style: Style, rows: &[InstanceRow], now: Time) -> String {
    let rows: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| {
            let took = row.ended_on.zip(row.started_on);
            vec![
                cell(&row.id),
                (look(row.status), status_word(row.status).to_owned()),
                cell(short(row.created_on)),
                cell(relative(row.created_on, now)),
                cell(took.map_or_else(|| "-".to_owned(), |(end, start)| span(end.0 - start.0))),
                cell(row.trigger_source.map_or("-", source)),
            ]
        })
        .collect();
    table(style, &["ID", "STATE", "CREATED (UTC)", "", "TOOK", "BY"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_words_of_the_api_in_both_directions() {
        for status in StatusArgument::value_variants() {
            let word = word(*status);
            let read: InstanceStatus = serde_json::from_str(&format!("\"{word}\"")).unwrap();
            assert_eq!(status_word(read), word);
        }
    }

    #[test]
    fn instances_are_shown_in_columns() {
        let row = |id: &str, status, ended: Option<i64>| InstanceRow {
            id: id.into(),
            status,
            created_on: Time(0),
            modified_on: Time(0),
            started_on: Some(Time(1_000)),
            ended_on: ended.map(Time),
            version_id: "v".into(),
            workflow_id: "w".into(),
            trigger_source: Some(TriggerSource::Cron),
        };
        let rows = [
            row("order-17", InstanceStatus::Complete, Some(4_400)),
            row("b", InstanceStatus::Waiting, None),
        ];
        let expected = "\
ID        STATE     CREATED (UTC)                    TOOK   BY
order-17  complete  1970-01-01 00:00:00  10.0 s ago  3.4 s  cron
b         waiting   1970-01-01 00:00:00  10.0 s ago  -      cron
";
        assert_eq!(shown(Style::PLAIN, &rows, Time(10_000)), expected);
    }
}

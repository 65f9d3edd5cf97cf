//! `cairn doctor`: checks this machine and the server, and says what to do.

mod configuration;
mod database;
mod disk;
mod machine;
mod server;
mod tool;

use crate::Exit;
use crate::args::DoctorArguments;
use crate::failure::Failure;
use crate::output::{Form, Look, Output, Style};
use crate::remote::Remote;
use crate::terminal::Terminal;
use crate::tools::Tool;
use serde::Serialize;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was checked, in a word.
    check: &'static str,
    /// How it is.
    state: State,
    /// What was found.
    what: String,
    /// What to do; absent where there is nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    /// Cairn works, but not as it could, or not for long.
    Warning,
    /// Cairn does not work.
    Problem,
}

impl Finding {
    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            what: what.into(),
            next: None,
        }
    }

    fn warning(check: &'static str, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Warning,
            what: what.into(),
            next: Some(next.into()),
        }
    }

    fn problem(check: &'static str, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            state: State::Problem,
            ..Self::warning(check, what, next)
        }
    }

    /// A failure of the check itself.
    fn failed(check: &'static str, failure: &Failure) -> Self {
        Self::problem(check, failure.what(), failure.next())
    }

    /// The finding in one line, or two.
    fn text(&self, style: Style) -> String {
        let (look, mark) = match self.state {
            State::Ok => (Look::Good, "ok"),
            State::Warning => (Look::Warning, "warning"),
            State::Problem => (Look::Bad, "PROBLEM"),
        };
        let mark = style.paint(look, &format!("{mark:<7}"));
        let mut text = format!("{mark}  {:<9}  {}\n", self.check, self.what);
        if let Some(next) = &self.next {
            let first = next.lines().next().unwrap_or_default();
            text.push_str(&format!("{:20}→ {first}\n", ""));
            for line in next.lines().skip(1) {
                text.push_str(&format!("{:22}{line}\n", ""));
            }
        }
        text
    }
}

/// Runs the command.
///
/// # Errors
/// When an argument cannot be used, or standard output takes no more. What a check finds is no error.
pub(crate) async fn doctor(arguments: &DoctorArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let output = Output::of(arguments.remote.json);
    let mut worst = State::Ok;
    let mut tell = |findings: Vec<Finding>| -> Result<(), Failure> {
        for finding in findings {
            worst = match (worst, finding.state) {
                (State::Problem, _) | (_, State::Problem) => State::Problem,
                (State::Warning, _) | (_, State::Warning) => State::Warning,
                (State::Ok, State::Ok) => State::Ok,
            };
            let text = match output.form() {
                Form::Text => finding.text(output.style()),
                Form::Json => as_json(&finding),
            };
            output.text(&text)?;
        }
        Ok(())
    };
    let clock = machine::Clocks::start();
    tell(vec![Finding::ok(
        "cairn",
        format!("version {}", env!("CARGO_PKG_VERSION")),
    )])?;
    let (finding, data_dir) = configuration::check(arguments);
    tell(vec![finding])?;
    let workerd = arguments.tools.workerd.workerd.as_deref();
    tell(vec![tool::check(Tool::Workerd, workerd).await])?;
    tell(vec![
        tool::check(Tool::Esbuild, arguments.tools.esbuild.as_deref()).await,
    ])?;
    let on = data_dir.clone();
    tell(blocking(move || disk::check(&on)).await)?;
    tell(blocking(move || vec![database::check(&data_dir)]).await)?;
    tell(machine::limits())?;
    let remote = Remote::new(&arguments.remote, terminal)?;
    if !arguments.offline {
        tell(server::check(&remote, server::Named::by(&arguments.remote)).await)?;
    }
    tell(vec![clock.check()])?;
    if output.form() == Form::Text {
        terminal.line(match worst {
            State::Ok => "All is well.",
            State::Warning => "It works; mind the warnings.",
            State::Problem => "There are problems.",
        });
    }
    Ok(match worst {
        State::Ok | State::Warning => Exit::Complete,
        State::Problem => Exit::Errored,
    })
}

fn as_json(finding: &Finding) -> String {
    // Texts always have a JSON form.
    serde_json::to_string(finding).unwrap_or_default()
}

/// Runs checks that block.
async fn blocking(check: impl FnOnce() -> Vec<Finding> + Send + 'static) -> Vec<Finding> {
    match tokio::task::spawn_blocking(check).await {
        Ok(findings) => findings,
        Err(error) => vec![Finding::problem(
            "doctor",
            format!("a check ended before its time: {error}"),
            "This is a defect of cairn.",
        )],
    }
}

/// Bytes for people.
pub(super) fn bytes(count: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut shown = count as f64;
    let mut unit = 0;
    while shown >= 1024.0 && unit + 1 < units.len() {
        shown /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{count} {}", units[0])
    } else {
        format!("{shown:.1} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_say_what_and_what_next() {
        let finding = Finding::problem("disk", "it is full", "Make room.\nOr go elsewhere.");
        assert_eq!(
            finding.text(Style::PLAIN),
            "PROBLEM  disk       it is full\n                    → Make room.\n                      Or go elsewhere.\n"
        );
        assert_eq!(
            as_json(&Finding::ok("cairn", "v")),
            r#"{"check":"cairn","state":"ok","what":"v"}"#
        );
    }

    #[test]
    fn bytes_are_for_people() {
        assert_eq!([12, 1536, 3 << 30].map(bytes), ["12 bytes", "1.5 KiB", "3.0 GiB"]);
    }
}

//! `…/workers/scripts/:script/schedules`: when the `scheduled` handler of a Worker is called.

use crate::answer::{Answer, bad, done, engine};
use crate::app::Call;
use crate::body;
use crate::routes::words;
use axum::body::Body;
use axum::http::Method;
use cairn_engine::CronDetails;
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// The body of a PUT: a list, as wrangler sends it, or an object with one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Schedules {
    List(Vec<Schedule>),
    Object { schedules: Vec<Schedule> },
}

#[derive(Deserialize)]
struct Schedule {
    cron: String,
}

/// GET or PUT.
pub(super) async fn handle(call: &Call, body: Body, (account, script): (&str, &str)) -> Answer {
    let crons = match call.method {
        Method::PUT => {
            let asked: Json = body::json(body, &call.app.limits).await?;
            let asked = Schedules::deserialize(asked)
                .map_err(|_| bad("the body is not a list of schedules such as [{\"cron\":\"0 * * * *\"}]"))?;
            let (Schedules::List(schedules) | Schedules::Object { schedules }) = asked;
            let crons = schedules.into_iter().map(|schedule| schedule.cron).collect();
            call.engine().put_script_crons(account, script, crons).await
        }
        _ => call.engine().script_crons(account, script).await,
    };
    let crons = crons.map_err(engine)?;
    done(json!({ "schedules": crons.iter().map(shown).collect::<Vec<_>>() }))
}

fn shown(cron: &CronDetails) -> Json {
    json!({
        "cron": cron.cron,
        "created_on": words::time(cron.created_at),
        "modified_on": words::time(cron.modified_at),
    })
}

//! `cairn instances output`

use crate::Exit;
use crate::args::{OutputArguments, OutputKind};
use crate::client::{RequestError, instance_path, unwrap};
use crate::failure::Failure;
use crate::follow::ending;
use crate::remote::Remote;
use crate::steps::reason;
use crate::terminal::Tone;
use cairn_api::{ApiError, InstanceDetails, InstanceStatus, StepOutput};
use reqwest::{Method, Response, header};
use std::time::Duration;

/// How long a stream may take.
const LONGEST: Duration = Duration::from_secs(6 * 3_600);

pub(super) async fn output(remote: &Remote, arguments: &OutputArguments) -> Result<Exit, Failure> {
    let workflow = &arguments.instance.workflow;
    let id = remote.id(workflow, &arguments.instance.id).await?;
    match &arguments.step {
        None => of_instance(remote, (workflow, &id)).await,
        Some(step) => of_step(remote, (workflow, &id), (step, arguments.kind)).await,
    }
}

async fn of_instance(remote: &Remote, (workflow, id): (&str, &str)) -> Result<Exit, Failure> {
    let doing = format!("Reading instance \"{id}\"");
    let request = remote
        .api
        .request(Method::GET, &instance_path(workflow, id))
        .query(&[("simple", "true")]);
    let details: InstanceDetails = match remote.api.send(request).await {
        Ok(details) => details,
        Err(error) => return Err(remote.about_workflow(error, &doing, workflow).await),
    };
    if details.status == InstanceStatus::Complete {
        remote.output.text(details.output.as_deref().unwrap_or("null"))?;
        return Ok(Exit::Complete);
    }
    let text = if details.status.is_final() {
        ending(&details)
    } else {
        "It has not ended, so there is no output yet.".into()
    };
    remote.terminal.line(&remote.terminal.paint(Tone::Bad, &text));
    Ok(Exit::Errored)
}

async fn of_step(
    remote: &Remote,
    (workflow, id): (&str, &str),
    (step, kind): (&str, OutputKind),
) -> Result<Exit, Failure> {
    let kind = match kind {
        OutputKind::Step => "step",
        OutputKind::WaitForEvent => "waitForEvent",
    };
    let ask = async |name: &str| {
        let request = remote
            .api
            .request(Method::GET, &format!("{}/step", instance_path(workflow, id)))
            .query(&[("name", name), ("type", kind)])
            .timeout(LONGEST);
        answer(request.send().await?).await
    };
    let mut answered = ask(step).await;
    if answered
        .as_ref()
        .is_err_and(|error| error.is(ApiError::StepNotFound))
    {
        // "charge" is short for the first step of that name.
        let first = ask(&format!("{step}-1")).await;
        if first.as_ref().is_ok() {
            answered = first;
        }
    }
    match answered {
        Ok(Answered::Bytes(response)) => copy(remote, response).await,
        Ok(Answered::Value(output)) => print(remote, &output),
        Err(error) if error.is(ApiError::StepNotFound) => Err(Failure::new(
            remote.failure(error, "Reading the step").what().to_owned(),
            format!(
                "`cairn instances describe {workflow} {id}` shows the steps; --type says what kind it is."
            ),
        )),
        Err(error) => Err(remote.about_workflow(error, "Reading the step", workflow).await),
    }
}

/// What a step returned.
enum Answered {
    Value(Box<StepOutput>),
    /// The bytes of a stream.
    Bytes(Response),
}

async fn answer(response: Response) -> Result<Answered, RequestError> {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_json = kind
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    if response.status().is_success() && !is_json {
        return Ok(Answered::Bytes(response));
    }
    let output: StepOutput = unwrap(response).await?.read()?;
    Ok(Answered::Value(Box::new(output)))
}

async fn copy(remote: &Remote, mut response: Response) -> Result<Exit, Failure> {
    loop {
        match response.chunk().await {
            Ok(Some(piece)) => remote.output.bytes(&piece)?,
            Ok(None) => return Ok(Exit::Complete),
            Err(error) => return Err(remote.failure(error.into(), "Reading the stream")),
        }
    }
}

fn print(remote: &Remote, output: &StepOutput) -> Result<Exit, Failure> {
    if output.status == InstanceStatus::Complete {
        let text = output.output.as_ref().map_or("null", |output| output.get());
        remote.output.text(text)?;
        return Ok(Exit::Complete);
    }
    let text = match &output.error {
        Some(error) if output.status == InstanceStatus::Errored => {
            format!("The step failed with {}", reason(error))
        }
        Some(error) => format!(
            "The step has not ended; its last attempt failed with {}",
            reason(error)
        ),
        None => "The step has not ended, so there is no output yet.".into(),
    };
    remote.terminal.line(&remote.terminal.paint(Tone::Bad, &text));
    Ok(Exit::Errored)
}

//! `cairn instances`

mod change;
mod events;
mod list;
mod logs;
mod output;
mod timeline;

use crate::Exit;
use crate::args::{DescribeArguments, InstancesArguments, InstancesCommand};
use crate::client::instance_path;
use crate::failure::Failure;
use crate::moment::now;
use crate::remote::Remote;
use crate::terminal::Terminal;
use cairn_api::InstanceDetails;
use reqwest::Method;
use timeline::{Detail, Timeline};

/// Runs the command.
///
/// # Errors
/// When it cannot be carried out.
pub(crate) async fn instances(arguments: &InstancesArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let remote = Remote::new(&arguments.remote, terminal)?;
    match &arguments.command {
        InstancesCommand::List(arguments) => list::list(&remote, arguments).await,
        InstancesCommand::Describe(arguments) => describe(&remote, arguments).await,
        InstancesCommand::Logs(arguments) => logs::logs(&remote, arguments).await,
        InstancesCommand::Output(arguments) => output::output(&remote, arguments).await,
        InstancesCommand::SendEvent(arguments) => change::send_event(&remote, arguments).await,
        InstancesCommand::Pause(selection) => change::pause(&remote, selection).await,
        InstancesCommand::Resume(selection) => change::resume(&remote, selection).await,
        InstancesCommand::Restart(arguments) => change::restart(&remote, arguments).await,
        InstancesCommand::Terminate(arguments) => change::terminate(&remote, arguments).await,
        InstancesCommand::Delete(arguments) => change::delete(&remote, arguments).await,
    }
}

async fn describe(remote: &Remote, arguments: &DescribeArguments) -> Result<Exit, Failure> {
    let workflow = &arguments.instance.workflow;
    let id = remote.id(workflow, &arguments.instance.id).await?;
    let doing = format!("Reading instance \"{id}\"");
    let request = remote.api.request(Method::GET, &instance_path(workflow, &id));
    let reply = match remote.api.reply(request).await {
        Ok(reply) => reply,
        Err(error) => return Err(remote.about_workflow(error, &doing, workflow).await),
    };
    let details: InstanceDetails = reply.read().map_err(|error| remote.failure(error, &doing))?;
    let detail = |wanted: bool| if wanted { Detail::Shown } else { Detail::Hidden };
    remote.output.result(&reply.result, |style| {
        let timeline = Timeline {
            workflow,
            id: &id,
            details: &details,
            now: now(),
            outputs: detail(arguments.outputs),
            attempts: detail(arguments.attempts),
            style,
        };
        timeline.text()
    })?;
    Ok(Exit::Complete)
}

//! workerd and esbuild: found, of a version that serves, and able to run.

use super::Finding;
use crate::failure::Failure;
use crate::tools::{self, Origin, Tool};
use std::path::Path;

/// What a machine lacks without the tool.
fn need(tool: Tool) -> &'static str {
    match tool {
        Tool::Workerd => "no Worker can run",
        Tool::Esbuild => "`cairn run`, `cairn dev` and `cairn deploy` cannot bundle",
    }
}

/// Checks a tool.
pub(super) async fn check(tool: Tool, given: Option<&Path>) -> Finding {
    match try_check(tool, given).await {
        Ok(finding) => finding,
        Err(failure) => Finding::failed(tool.name(), &failure),
    }
}

async fn try_check(tool: Tool, given: Option<&Path>) -> Result<Finding, Failure> {
    let pinned = tools::pinned(tool)?;
    let Some(found) = tools::look(tool, given, Path::new(".")).await? else {
        return Ok(missing(tool, pinned, has_npm()));
    };
    let how = match found.origin {
        Origin::Given => "named by you",
        Origin::Project => "of node_modules",
        Origin::Path => "on PATH",
        Origin::Cache => "of cairn's cache",
    };
    let version = found
        .version
        .map_or_else(|| "?".to_owned(), |version| version.to_string());
    let what = format!("{version}, {how}: {}", found.path.display());
    let serves = found
        .version
        .is_some_and(|version| tools::serves(tool, version, pinned));
    if serves {
        return Ok(Finding::ok(tool.name(), what));
    }
    Ok(Finding::warning(
        tool.name(),
        format!("{what}; this cairn is made for {pinned}"),
        format!(
            "Name a newer one with {}, or none: cairn then fetches {pinned} with npm.",
            tool.variable()
        ),
    ))
}

fn missing(tool: Tool, pinned: tools::Version, has_npm: bool) -> Finding {
    if has_npm {
        return Finding::ok(
            tool.name(),
            format!("not here yet; {pinned} is fetched with npm when it is first needed"),
        );
    }
    Finding::problem(
        tool.name(),
        format!(
            "nowhere to be found, and there is no npm to fetch it: {}",
            need(tool)
        ),
        format!(
            "Install Node.js with npm, or have {} {pinned} put on this machine and name it with {}.",
            tool.name(),
            tool.variable()
        ),
    )
}

fn has_npm() -> bool {
    let file = if cfg!(windows) { "npm.cmd" } else { "npm" };
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(file).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[test]
    fn a_tool_that_can_be_fetched_is_no_problem() {
        let pinned = tools::pinned(Tool::Workerd).unwrap();
        assert_eq!(missing(Tool::Workerd, pinned, true).state, State::Ok);
        let alone = missing(Tool::Workerd, pinned, false);
        assert_eq!(alone.state, State::Problem);
        assert!(alone.next.unwrap().contains("CAIRN_WORKERD"));
    }
}

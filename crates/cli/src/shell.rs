//! `cairn completions` and `cairn man`: made from the definition of the command line.

use crate::Exit;
use crate::args::{Arguments, CompletionsArguments, ManArguments};
use crate::failure::Failure;
use crate::output::Output;
use clap::CommandFactory as _;
use std::fs;
use std::path::Path;

/// Prints the completions of a shell.
///
/// # Errors
/// When standard output takes no more.
pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "cairn", &mut script);
    Output::of(false).bytes(&script).map(|()| Exit::Complete)
}

/// Prints the manual, or writes its pages into a folder.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn man(arguments: &ManArguments) -> Result<Exit, Failure> {
    let output = Output::of(false);
    let Some(dir) = &arguments.dir else {
        let page = page().map_err(|error| cannot_write(Path::new("standard output"), &error))?;
        return output.bytes(&page).map(|()| Exit::Complete);
    };
    let written = fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Arguments::command(), dir));
    written.map_err(|error| cannot_write(dir, &error))?;
    output.text(&format!("The manual is in {}.", dir.display()))?;
    Ok(Exit::Complete)
}

/// The first page of the manual.
fn page() -> std::io::Result<Vec<u8>> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}

fn cannot_write(place: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        format!("The manual cannot be written to {}: {error}.", place.display()),
        "Give a folder that can be written with --dir.",
    )
}

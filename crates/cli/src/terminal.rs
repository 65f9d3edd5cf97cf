//! Standard error: lines for people, live ones when it is a terminal. Standard output belongs to results alone.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Where messages for people go. Clones share the screen.
#[derive(Debug, Clone)]
pub(crate) struct Terminal {
    bars: MultiProgress,
    is_live: bool,
    has_colour: bool,
}

/// How a piece of text is to look, where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It went well.
    Good,
    /// It went wrong, and goes on.
    Warning,
    /// It went wrong.
    Bad,
    /// It matters less.
    Faint,
}

impl Terminal {
    /// Standard error, live when it is a terminal that can move its cursor.
    pub(crate) fn stderr() -> Self {
        let is_live =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let target = if is_live {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            bars: MultiProgress::with_draw_target(target),
            is_live,
            has_colour: is_live && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    /// Whether lines can be rewritten in place.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Whether text may be coloured.
    pub(crate) fn has_colour(&self) -> bool {
        self.has_colour
    }

    /// Prints text above whatever is live.
    pub(crate) fn line(&self, text: &str) {
        self.write(format!("{text}\n").as_bytes());
    }

    /// Writes bytes above whatever is live.
    pub(crate) fn write(&self, bytes: &[u8]) {
        // A closed standard error is no reason to stop: the result goes to standard output.
        self.bars.suspend(|| {
            let _ = io::stderr().lock().write_all(bytes);
        });
    }

    /// `text` in a tone, if this terminal has colours.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.has_colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Shows that something goes on, until the returned bar is cleared: a spinner, or one plain line.
    pub(crate) fn busy(&self, text: &str) -> ProgressBar {
        if !self.is_live {
            self.line(text);
            return ProgressBar::hidden();
        }
        self.spinner(text)
    }

    /// A live line; invisible when this is no terminal.
    pub(crate) fn spinner(&self, text: &str) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
        }
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }
}

/// Lets the log share the screen with live lines.
impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Terminal {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        LogWriter(self.clone())
    }
}

/// Writes one event of the log.
#[derive(Debug)]
pub(crate) struct LogWriter(Terminal);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

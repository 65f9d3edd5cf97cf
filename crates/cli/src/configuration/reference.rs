//! The reference of all keys, from the flags themselves.

use super::flag::{self, Kind};

/// All keys of the file, as a Markdown table.
pub(super) fn reference() -> String {
    let mut out =
        "| key and flag | variable | value | default | what it does |\n|---|---|---|---|---|\n".to_owned();
    for flag in flag::all() {
        let value = match flag.kind {
            _ if !flag.words.is_empty() => flag
                .words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(" or "),
            Kind::Switch => "true or false".to_owned(),
            Kind::Number => format!("number ({})", flag.shown.to_lowercase()),
            Kind::Path => format!("path ({})", flag.shown.to_lowercase()),
            Kind::Text => flag.shown.to_lowercase(),
            Kind::List => format!("list of {}", flag.shown.to_lowercase()),
        };
        let default = flag
            .default
            .map_or_else(String::new, |value| format!("`{value}`"));
        let variable = flag.variable.map_or_else(String::new, |name| format!("`{name}`"));
        let about = flag.about.replace('|', "\\|").replace('\n', " ");
        out.push_str(&format!(
            "| `{}` | {variable} | {value} | {default} | {about} |\n",
            flag.long
        ));
    }
    out
}

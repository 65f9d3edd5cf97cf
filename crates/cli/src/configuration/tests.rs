//! Files, the environment and flags together.

use super::*;
use crate::args::{Command, EgressArgument, ServeArguments};
use std::fs;
use tempfile::TempDir;

struct World {
    folder: TempDir,
    variables: BTreeMap<&'static str, &'static str>,
}

impl World {
    fn with(file: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cairn.toml"), file).unwrap();
        Self {
            folder,
            variables: BTreeMap::new(),
        }
    }

    fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.insert(name, value);
        self
    }

    fn read(&self, arguments: &[&str]) -> Result<Configured, Refused> {
        let given = ["cairn"].iter().chain(arguments).map(OsString::from).collect();
        let variables = self.variables.clone();
        let environment = move |name: &str| variables.get(name).map(OsString::from);
        read_from(given, &environment, self.folder.path())
    }

    fn configured(&self, arguments: &[&str]) -> Configured {
        match self.read(arguments) {
            Ok(configured) => configured,
            Err(refused) => panic!("{}", told(&refused).join("\n")),
        }
    }

    /// What is wrong, without the folder of the file.
    fn problems(&self, arguments: &[&str]) -> Vec<String> {
        let Err(refused) = self.read(arguments) else {
            panic!("nothing is wrong");
        };
        let folder = format!("{}/", self.folder.path().display());
        let told = told(&refused);
        told.iter().map(|line| line.replace(&folder, "")).collect()
    }
}

fn told(refused: &Refused) -> Vec<String> {
    match refused {
        Refused::Flags(error) => vec![error.to_string()],
        Refused::Configuration(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn serve(configured: &Configured) -> &ServeArguments {
    match &configured.arguments.command {
        Command::Serve(arguments) => arguments,
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let file = "listen = \"127.0.0.1:1001\"\negress = \"any\"\nprocess-idle = 1\ndrain-delay = 1\nbehind-proxy = true";
    let world = World::with(file)
        .variable("CAIRN_EGRESS", "public")
        .variable("CAIRN_PROCESS_IDLE", "2");
    let configured = world.configured(&["serve", "--process-idle", "3"]);
    let taken = serve(&configured);
    assert_eq!(taken.listen.port(), 1001);
    assert_eq!(taken.egress, EgressArgument::Public);
    assert_eq!(
        (taken.process_idle, taken.drain_delay, taken.drain_timeout),
        (3, 1, 25)
    );
    assert!(taken.behind_proxy);
    let source = |long: &str| configured.sources.flags[long].clone();
    assert!(matches!(
        source("listen"),
        Source::File(Place {
            line: 1,
            column: 1,
            ..
        })
    ));
    assert_eq!(source("egress"), Source::Variable("CAIRN_EGRESS".into()));
    assert_eq!(source("process-idle"), Source::Flag);
    assert_eq!(source("drain-timeout"), Source::Default);
}

#[test]
fn settings_are_taken_one_by_one() {
    let world = World::with(
        "[limits]\nsteps = 1_000\nretries = 0x10\njson_bytes = 2048\n[versions]\nfollow_latest = true",
    )
    .variable("CAIRN_SET", "limits.retries=2,limits.json_bytes=3000");
    let configured = world.configured(&["serve", "--set", "limits.json_bytes=4000"]);
    let mut config = cairn_server::Config::new("", "");
    for assignment in &serve(&configured).settings.set {
        config.set(assignment).unwrap();
    }
    let limits = &config.settings.limits;
    assert_eq!(
        (limits.steps, limits.retries, config.json_bytes),
        (1_000, 2, 4_000)
    );
    assert!(config.settings.follow_latest);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let file = "listen = \"nowhere\"\negres = \"any\"\nprocess-idle = \"60\"\negress = \"some\"\nbehind-proxy = 1\n\
                tls-cert = \"missing.pem\"\nworkerd = 7\n\n[limits]\nsteps = 0\nstepz = 4\n  retries = \"x\"\n\n[other]\na = 1\n";
    let world = World::with(file)
        .variable("CAIRN_DRAIN_TIMEOUT", "soon")
        .variable("CAIRN_SET", "limits.state=1");
    let problems = world.problems(&["serve"]);
    let expected = [
        "environment variable CAIRN_DRAIN_TIMEOUT: it is \"soon\"; it must be a whole number",
        "environment variable CAIRN_SET: there is no setting \"limits.state\"; ",
        "cairn.toml:1:10: listen: it is \"nowhere\"; it must be an address in quotes",
        "cairn.toml:2:1: egres: there is no such key; did you mean \"egress\"?",
        "cairn.toml:3:16: process-idle: it must be a whole number without quotes, not a text",
        "cairn.toml:4:10: egress: it is \"some\"; it must be one of \"public\", \"any\"",
        "cairn.toml:5:16: behind-proxy: it must be true or false, not a whole number",
        "cairn.toml:6:1: tls-cert: it wants tls-key beside it",
        "cairn.toml:6:1: tls-cert: there is no file missing.pem",
        "cairn.toml:7:11: workerd: it must be a path in quotes, not a whole number",
        "cairn.toml:10:9: limits.steps: it is 0; it must be a whole number from 1 to 1000000",
        "cairn.toml:11:1: limits.stepz: there is no such key; did you mean \"limits.steps\"?",
        "cairn.toml:12:13: limits.retries: it must be a whole number without quotes, not a text",
        "cairn.toml:15:1: other.a: there is no such key",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}\n{expected}");
    }
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    let problems = World::with("listen = \nx = 3\n[limits\n").problems(&["serve"]);
    assert!(problems[0].starts_with("cairn.toml:1:10: "), "{problems:?}");
    assert!(
        problems[1].starts_with("cairn.toml:2:1: x: there is no such key"),
        "{problems:?}"
    );
    assert!(problems[2].starts_with("cairn.toml:3:8: "), "{problems:?}");
}

#[test]
fn what_does_not_go_together_is_told_wherever_it_was_said() {
    let world = World::with("listen = \"0.0.0.0:80\"");
    let problems = world.problems(&["serve", "--tls-key", "/"]);
    assert!(
        problems[0].starts_with("--tls-key: it wants tls-cert beside it"),
        "{problems:?}"
    );
    assert!(
        problems[1].starts_with("--tls-key: there is no file /"),
        "{problems:?}"
    );
    assert!(
        problems[2].starts_with("cairn.toml:1:1: listen: 0.0.0.0:80 can be reached"),
        "{problems:?}"
    );
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(world.read(&["serve", "--behind-proxy"]).is_ok());
    assert!(world.read(&["serve", "--listen", "127.0.0.1:80"]).is_ok());
    // One half in the file, the other as a flag.
    let world = World::with("tls-cert = \"cairn.toml\"");
    let key = world.folder.path().join("cairn.toml");
    let configured = world.configured(&["serve", "--tls-key", key.to_str().unwrap()]);
    assert_eq!(serve(&configured).tls_cert.as_deref(), Some(key.as_path()));
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let world = World::with("egress = \"any\"");
    assert_eq!(
        world.problems(&["serve", "--config", "other.toml"]),
        ["other.toml: there is no such file; correct --config or CAIRN_CONFIG"]
    );
    fs::write(world.folder.path().join("other.toml"), "process-idle = 9").unwrap();
    let named = world.configured(&["serve", "--config", "other.toml"]);
    assert_eq!(
        (serve(&named).process_idle, serve(&named).egress),
        (9, EgressArgument::Public)
    );
    let world = world.variable("CAIRN_CONFIG", "other.toml");
    assert_eq!(serve(&world.configured(&["serve"])).process_idle, 9);
}

#[test]
fn other_commands_and_wrong_flags_do_not_read_it() {
    let world = World::with("nonsense = 1");
    assert!(world.read(&["doctor"]).is_ok());
    for wrong in [&["serve", "--help"][..], &["--version"], &["nothing"]] {
        assert!(matches!(world.read(wrong), Err(Refused::Flags(_))), "{wrong:?}");
    }
    // A file that is in order does not hide a flag that is none.
    let wrong = World::with("egress = \"any\"").read(&["serve", "--lisen"]);
    assert!(matches!(wrong, Err(Refused::Flags(_))));
}

#[test]
fn what_is_shown_says_the_same_and_hides_nothing_else() {
    let world = World::with("data-dir = \"data\"\nprocess-idle = 30\n[limits]\nsteps = 5\n");
    let shown = show(&world.configured(&["config", "--set", "limits.retries=7"]).sources);
    for line in [
        "process-idle = 30 # ",
        "steps = 5 # ",
        "retries = 7 # flag",
        "drain-timeout = 25 # default",
        "behind-proxy = false # default",
        "# tls-cert = (none) # default",
    ] {
        assert!(
            shown.lines().any(|shown| shown.starts_with(line)),
            "{line}\n{shown}"
        );
    }
    let again = World::with(&shown);
    let (first, second) = (world.configured(&["serve"]), again.configured(&["serve"]));
    assert_eq!(serve(&first).data_dir, world.folder.path().join("data"));
    assert_eq!(serve(&second).data_dir, serve(&first).data_dir);
    assert_eq!(serve(&second).process_idle, 30);
}

#[test]
fn the_document_has_all_keys() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let written = fs::read_to_string(&path).unwrap();
    let reference = reference::reference();
    let (before, _) = written.split_once("| key and flag |").unwrap();
    let (_, after) = written.split_once("\n\n<!-- the end of the table -->").unwrap();
    let whole = format!(
        "{before}{}\n\n<!-- the end of the table -->{after}",
        reference.trim_end()
    );
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, whole).unwrap();
    } else {
        assert!(
            written == whole,
            "UPDATE_DOCS=1 brings docs/configuration.md up to date with\n\n{reference}"
        );
    }
}

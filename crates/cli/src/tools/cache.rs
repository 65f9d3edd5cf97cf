//! The cache of tools: filled once by npm, which checks every package against the hash in the embedded lock file.

use super::version::{self, LOCK, PACKAGE};
use super::{Tool, binary_in};
use crate::failure::Failure;
use crate::terminal::Terminal;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// How the names of folders begin that are being filled.
const FILLING: &str = ".filling-";

/// The cache of this user.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    /// Where everything of cairn is cached.
    root: PathBuf,
    /// The program that installs.
    npm: OsString,
}

impl Cache {
    /// `$XDG_CACHE_HOME/cairn`, or `~/.cache/cairn`.
    ///
    /// # Errors
    /// When neither is set.
    pub(super) fn of_user() -> Result<Self, Failure> {
        let absolute = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let root = absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .or_else(|| absolute("LOCALAPPDATA"));
        let root = root.ok_or_else(|| {
            Failure::new(
                "There is no place to keep workerd and esbuild: neither XDG_CACHE_HOME nor HOME is set.",
                "Set one of them, or name the tools with CAIRN_WORKERD and CAIRN_ESBUILD.",
            )
        })?;
        Ok(Self {
            root: root.join("cairn"),
            npm: if cfg!(windows) { "npm.cmd" } else { "npm" }.into(),
        })
    }

    /// The path of a tool in the cache, which is filled first if need be.
    ///
    /// # Errors
    /// When there is no npm, when it fails, or when the platform has no such tool.
    pub(super) async fn tool(&self, tool: Tool, terminal: &Terminal) -> Result<PathBuf, Failure> {
        let folder = self.folder()?;
        if let Some(path) = binary_in(&folder.join("node_modules"), tool) {
            return Ok(path);
        }
        self.fill(&folder, terminal).await?;
        binary_in(&folder.join("node_modules"), tool).ok_or_else(|| {
            let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
            Failure::new(
                format!(
                    "cairn fetches {} for Linux only, and this is {os} on {arch}.",
                    tool.name()
                ),
                format!(
                    "Have npm put it in the project's folder, or name a program of your own with {}:\n    {}",
                    tool.variable(),
                    by_hand()
                ),
            )
        })
    }

    /// The path of a tool that is in the cache already.
    ///
    /// # Errors
    /// When the embedded package file is broken.
    pub(super) fn present(&self, tool: Tool) -> Result<Option<PathBuf>, Failure> {
        Ok(binary_in(&self.folder()?.join("node_modules"), tool))
    }

    /// One folder for each pair of versions, so that an upgrade of cairn fills a new one and an older cairn keeps its own.
    fn folder(&self) -> Result<PathBuf, Failure> {
        let [workerd, esbuild] = [version::pinned(Tool::Workerd)?, version::pinned(Tool::Esbuild)?];
        Ok(self.root.join(format!("workerd-{workerd}-esbuild-{esbuild}")))
    }

    /// Fills `folder`. One process at a time: the others wait for the lock and find it filled. The kernel drops the lock with its process.
    async fn fill(&self, folder: &Path, terminal: &Terminal) -> Result<(), Failure> {
        let busy = terminal.busy(&format!(
            "Fetching workerd {} and esbuild {} with npm, this once (about 50 MB) …",
            version::pinned(Tool::Workerd)?,
            version::pinned(Tool::Esbuild)?
        ));
        fs::create_dir_all(&self.root).map_err(|error| unusable(&self.root, &error))?;
        let lock_path = self.root.join("fill.lock");
        let lock = tokio::task::spawn_blocking(move || {
            let file = File::create(lock_path)?;
            file.lock()?;
            Ok(file)
        });
        let lock: Result<File, io::Error> = lock.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let _held = lock.map_err(|error| unusable(&self.root, &error))?;
        if !folder.exists() {
            self.install(folder).await?;
        }
        busy.finish_and_clear();
        Ok(())
    }

    /// Removes what a process that was killed left half-filled. The lock is held: nobody fills now.
    fn sweep(&self) {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(FILLING)) {
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "a half-filled folder of the cache stays");
            }
        }
    }

    /// Installs beside `folder` and renames: the folder is there in full or not at all.
    async fn install(&self, folder: &Path) -> Result<(), Failure> {
        self.sweep();
        let place = tempfile::Builder::new().prefix(FILLING).tempdir_in(&self.root);
        let place = place.map_err(|error| unusable(&self.root, &error))?;
        for (name, text) in [("package.json", PACKAGE), ("package-lock.json", LOCK)] {
            fs::write(place.path().join(name), text).map_err(|error| unusable(place.path(), &error))?;
        }
        let mut npm = Command::new(&self.npm);
        npm.args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ])
        .current_dir(place.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
        if std::env::var_os("NODE_USE_SYSTEM_CA").is_none() {
            // Behind a company proxy the certificate that counts is in the system's list, not in Node's own.
            npm.env("NODE_USE_SYSTEM_CA", "1");
        }
        let output = npm.output().await.map_err(|error| no_npm(&error))?;
        if !output.status.success() {
            return Err(npm_failed(&output));
        }
        fs::rename(place.path(), folder).map_err(|error| unusable(folder, &error))
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format!(
            "The cache of tools at {} cannot be used: {error}.",
            path.display()
        ),
        "Make it writable, set XDG_CACHE_HOME to a place that is, or name the tools with CAIRN_WORKERD and CAIRN_ESBUILD.",
    )
}

/// The command that does by hand what the cache does.
fn by_hand() -> String {
    let version = |tool| version::pinned(tool).map_or_else(|_| "latest".to_owned(), |v| v.to_string());
    format!(
        "npm install --ignore-scripts workerd@{} esbuild@{}",
        version(Tool::Workerd),
        version(Tool::Esbuild)
    )
}

fn no_npm(error: &io::Error) -> Failure {
    Failure::new(
        format!(
            "workerd, which runs the Workers, is not on this machine, and npm, which would fetch it, could not be started: {error}."
        ),
        format!(
            "Install Node.js (it brings npm) and try again; or, in the project's folder, have the tools put there:\n    {}",
            by_hand()
        ),
    )
}

fn npm_failed(output: &std::process::Output) -> Failure {
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let first = said[..said.len().min(10)].join("\n    ");
    Failure::new(
        format!(
            "npm could not fetch workerd and esbuild ({}):\n    {first}",
            output.status
        ),
        format!(
            "Mend what npm complains about (its settings for registry and proxy are used) and try again; or, in the project's folder:\n    {}",
            by_hand()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(root: &Path, npm: &str) -> Cache {
        Cache {
            root: root.to_owned(),
            npm: npm.into(),
        }
    }

    /// An npm that installs by writing the two files where the packages have them, and counts how often it was asked.
    #[cfg(unix)]
    fn pretend_npm(folder: &Path) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join("npm");
        let lines: Vec<String> = [Tool::Workerd, Tool::Esbuild]
            .iter()
            .map(|tool| {
                let file = Path::new("node_modules").join(super::super::platform_file(*tool).unwrap());
                let package = super::super::package_folder(&file);
                format!(
                    "mkdir -p {0} && echo x > {1} && chmod +x {1} && echo '{{\"version\":\"1.2.3\"}}' > {2}/package.json",
                    file.parent().unwrap().display(),
                    file.display(),
                    package.display()
                )
            })
            .collect();
        let script = format!(
            "#!/bin/sh\nset -e\ntest -f package-lock.json\necho . >> {}/calls\n{}\n",
            folder.display(),
            lines.join("\n")
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn two_that_fill_at_once_install_once_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let npm = pretend_npm(folder.path());
        let root = folder.path().join("cache");
        fs::create_dir_all(root.join(".filling-by-one-that-was-killed/node_modules")).unwrap();
        let cache = cache(&root, npm.to_str().unwrap());
        let terminal = Terminal::stderr();
        let (one, two) = tokio::join!(
            cache.tool(Tool::Workerd, &terminal),
            cache.tool(Tool::Esbuild, &terminal)
        );
        assert!(one.unwrap().starts_with(&root));
        assert!(two.unwrap().starts_with(&root));
        assert_eq!(fs::read_to_string(folder.path().join("calls")).unwrap(), ".\n");
        let mut left: Vec<String> = fs::read_dir(&root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[tokio::test]
    async fn without_npm_the_error_gives_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), "no-such-npm-anywhere");
        let failure = cache.tool(Tool::Workerd, &Terminal::stderr()).await.unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("npm install --ignore-scripts workerd@1."), "{text}");
        assert!(text.contains("esbuild@0."), "{text}");
    }

    #[tokio::test]
    async fn an_npm_that_fails_leaves_no_half_filled_cache() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), "false");
        let failure = cache.tool(Tool::Workerd, &Terminal::stderr()).await.unwrap_err();
        assert!(failure.to_string().contains("npm could not fetch"), "{failure}");
        let left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["fill.lock"]);
    }
}

//! The folder below which processes get their own: private to this user, and swept of what killed servers left behind.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// How folders of processes begin.
pub(super) const PREFIX: &str = "w-";

/// Makes the folder when it is missing, and sees that it is ours: who owns it could replace what is in it.
///
/// # Errors
/// Where it cannot be made, is no folder or belongs to another user.
pub(super) fn prepare(run_dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(run_dir)?;
    let user = effective_user();
    let owner = fs::metadata(run_dir)?.uid();
    if owner != user {
        let message = format!(
            "the folder {} belongs to user {owner}, not to user {user}; choose another",
            run_dir.display()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    sweep(run_dir);
    Ok(())
}

/// A folder of this user's in the system's temporary directory: short, as socket paths must be.
pub fn default_run_dir() -> PathBuf {
    std::env::temp_dir().join(format!("cairn-{}", effective_user()))
}

fn effective_user() -> u32 {
    // SAFETY: a system call without arguments that always succeeds.
    unsafe { libc::geteuid() }
}

/// Removes folders of processes that are gone: nobody listens on their sockets. What cannot be removed does no harm.
fn sweep(run_dir: &Path) {
    let Ok(entries) = fs::read_dir(run_dir) else {
        return;
    };
    for entry in entries.flatten() {
        let ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX));
        let refused = || {
            UnixStream::connect(entry.path().join("host"))
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        };
        if ours
            && refused()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::debug!(folder = %entry.path().display(), %error, "an old folder could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn folders_of_dead_processes_are_swept() {
        let run_dir = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = run_dir.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let (dead, live, starting, other) = (
            folder("w-dead"),
            folder("w-live"),
            folder("w-starting"),
            folder("other"),
        );
        drop(UnixListener::bind(dead.join("host")).unwrap());
        drop(UnixListener::bind(other.join("host")).unwrap());
        let _listening = UnixListener::bind(live.join("host")).unwrap();
        prepare(run_dir.path()).unwrap();
        assert!(!dead.exists());
        assert!(live.exists() && starting.exists() && other.exists());
    }

    #[test]
    fn a_new_folder_is_private() {
        let parent = tempfile::tempdir().unwrap();
        let run_dir = parent.path().join("a/b");
        prepare(&run_dir).unwrap();
        assert_eq!(fs::metadata(&run_dir).unwrap().mode() & 0o777, 0o700);
        assert!(prepare(Path::new("/proc/self/nowhere")).is_err());
    }
}

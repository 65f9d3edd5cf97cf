//! The wish to stop: Ctrl-C, or the signal that service managers send.

/// Waits until somebody wants this process to stop. A second wish ends it at once, for which nothing has to be done: all that matters is on disk.
pub(crate) async fn stop_wanted() {
    wish().await;
    tokio::spawn(async {
        wish().await;
        std::process::exit(130);
    });
}

#[cfg(unix)]
async fn wish() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return interrupt().await;
    };
    tokio::select! {
        () = interrupt() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn wish() {
    interrupt().await;
}

async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        // No handler can be installed: the process is then ended the hard way, which it survives too.
        std::future::pending::<()>().await;
    }
}

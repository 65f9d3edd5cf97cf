//! Workflow bindings of user code: calls go to the engine while the server runs.

use async_trait::async_trait;
use cairn_engine::Engine;
use cairn_runtime::{
    BindingCall, BindingError, BindingHost, BindingReply, EventSource, PieceSource, ServiceCall, StreamCall,
    SubscribeCall, WorkerId,
};
use parking_lot::Mutex;

/// The engine, until the server ends: engine and runtime hold each other, and one of them must let go for the store to be closed.
pub(crate) struct Bindings(Mutex<Option<Engine>>);

impl Bindings {
    pub(crate) fn new(engine: Engine) -> Self {
        Self(Mutex::new(Some(engine)))
    }

    fn engine(&self) -> Result<Engine, BindingError> {
        let engine = self.0.lock().clone();
        engine.ok_or_else(|| BindingError {
            message: "the server is shutting down; the run goes on at its next start".into(),
        })
    }

    /// Refuses calls from now on.
    pub(crate) fn close(&self) {
        self.0.lock().take();
    }
}

#[async_trait]
impl BindingHost for Bindings {
    async fn call(&self, call: BindingCall) -> Result<BindingReply, BindingError> {
        self.engine()?.call(call).await
    }

    async fn subscribe(&self, call: SubscribeCall) -> Result<Box<dyn EventSource>, BindingError> {
        BindingHost::subscribe(&self.engine()?, call).await
    }

    async fn stream(&self, call: StreamCall) -> Result<Box<dyn PieceSource>, BindingError> {
        self.engine()?.stream(call).await
    }

    async fn service(&self, call: ServiceCall) -> Result<WorkerId, BindingError> {
        self.engine()?.service(call).await
    }
}

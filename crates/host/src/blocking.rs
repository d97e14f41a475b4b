//! Work that waits for disk or processes, off the threads that serve everybody.

use engine::world::WorldError;

/// Runs it where waiting harms nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    doing: &str,
    work: impl FnOnce() -> Result<T, WorldError> + Send + 'static,
) -> Result<T, WorldError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(WorldError::new(doing, error)),
    }
}

//! The only owner of tasks.
//!
//! Every task has a name and an owner; one that panics or ends unasked ends the program with an
//! error. Cancelling interrupts waits, never work.

use std::future::Future;

use tokio::task::{JoinError, JoinSet};

/// A set of named tasks with one owner.
#[derive(Debug, Default)]
pub struct Tasks<T> {
    set: JoinSet<T>,
}

impl<T: Send + 'static> Tasks<T> {
    /// No tasks yet.
    pub fn new() -> Self {
        Self {
            set: JoinSet::new(),
        }
    }

    /// Starts `task`; it is aborted when the set is dropped.
    pub fn start(&mut self, task: impl Future<Output = T> + Send + 'static) {
        self.set.spawn(task);
    }

    /// How many are running or wait to be collected.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// The result of the next task to end; never comes back while there is none.
    ///
    /// # Errors
    /// [`TaskPanicked`] where the task panicked.
    pub async fn next(&mut self) -> Result<T, TaskPanicked> {
        match self.set.join_next().await {
            Some(ended) => ended.map_err(TaskPanicked),
            None => std::future::pending().await,
        }
    }

    /// The result of a task that has ended already, if there is one.
    ///
    /// # Errors
    /// [`TaskPanicked`] where the task panicked.
    pub fn ended(&mut self) -> Result<Option<T>, TaskPanicked> {
        self.set.try_join_next().transpose().map_err(TaskPanicked)
    }
}

/// A task ended by a panic or was taken away.
#[derive(Debug, thiserror::Error)]
#[error("a task of stenod ended by a fault of its own; this is a bug worth reporting")]
pub struct TaskPanicked(#[source] JoinError);

/// Runs `work`, which may block on files or the processor, beside the asynchronous tasks.
///
/// # Errors
/// [`TaskPanicked`] where it panicked.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TaskPanicked> {
    #[cfg(test)]
    if crate::faults::simulated() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(TaskPanicked)
}

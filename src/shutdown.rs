//! How the rim ends: one signal that everything in it can wait for, and a limit on how long ending may take.
//!
//! It does not know who ends, nor why.

use std::time::Duration;

use tokio::sync::watch;

/// Makes a signal and the one thing that raises it.
#[must_use]
pub fn channel() -> (Trigger, Signal) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Signal(receiver))
}

/// Raises the signal; dropping it does too, so that nothing outlives the part that started it.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

impl Trigger {
    /// Raises the signal. Again does nothing.
    pub fn raise(&self) {
        self.0.send_replace(true);
    }
}

/// Says whether the program is to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Signal(watch::Receiver<bool>);

impl Signal {
    /// Whether it is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits until it is raised. Can be waited for again, and returns at once then.
    pub async fn raised(&mut self) {
        // An error means that the trigger is gone.
        let _ = self.0.wait_for(|raised| *raised).await;
    }
}

/// Waits for `work`, but no longer than `grace`: `None` if it was not done by then, and dropped.
pub async fn drain<F: Future>(work: F, grace: Duration) -> Option<F::Output> {
    tokio::time::timeout(grace, work).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_raised_for_every_clone_and_for_good() {
        let (trigger, signal) = channel();
        let mut clone = signal.clone();
        assert!(!signal.is_raised());
        trigger.raise();
        clone.raised().await;
        clone.raised().await;
        assert!(signal.is_raised());
    }

    #[tokio::test]
    async fn is_raised_when_its_trigger_is_gone() {
        let (trigger, mut signal) = channel();
        drop(trigger);
        signal.raised().await;
        assert!(signal.is_raised());
    }

    #[tokio::test]
    async fn gives_up_on_work_that_outlives_its_grace() {
        assert_eq!(drain(std::future::ready(7), Duration::ZERO).await, Some(7));
        assert_eq!(drain(std::future::pending::<()>(), Duration::ZERO).await, None);
    }
}

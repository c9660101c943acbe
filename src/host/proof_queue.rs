//! Questions about replicas that wait for the root shell, asked as one.
//!
//! Keeps true: who asks is answered by a question that was put after it asked; while one is put, those that come
//! wait for the next.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::proof::Replica;

/// What a host says of all that were asked about; why it says nothing.
pub(super) type Said = Result<Arc<str>, Arc<str>>;

#[derive(Default)]
pub(super) struct ProofQueue {
    waiting: Mutex<Vec<(Replica, oneshot::Sender<Said>)>>,
    /// Held by who puts the question.
    turn: tokio::sync::Mutex<()>,
}

impl ProofQueue {
    /// `put` asks the host about all of these replicas.
    pub async fn ask<F>(&self, replica: Replica, put: impl Fn(Vec<Replica>) -> F) -> Said
    where
        F: Future<Output = Said>,
    {
        loop {
            let (sender, mut answer) = oneshot::channel();
            self.waiting.lock().push((replica.clone(), sender));
            let _turn = self.turn.lock().await;
            match answer.try_recv() {
                Ok(said) => return said,
                // Who put the question for all has gone before it was answered.
                Err(oneshot::error::TryRecvError::Closed) => continue,
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            let (replicas, senders): (Vec<_>, Vec<_>) = std::mem::take(&mut *self.waiting.lock()).into_iter().unzip();
            let said = put(replicas).await;
            for sender in senders {
                // One that does not wait any more, and this one itself, need no answer.
                let _ = sender.send(said.clone());
            }
            return said;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeSet, time::Duration};

    use futures_util::{FutureExt as _, future::join_all};

    use super::*;
    use crate::{host::HealthCheck, model::fleet::Check};

    fn replica(number: u16) -> Replica {
        Replica::of(&HealthCheck {
            check: Check::Tcp,
            port: number,
            timeout: Duration::from_secs(1),
            user: String::new(),
            directory: String::new(),
            env_files: Vec::new(),
            unit: format!("a@{number}.service"),
            confined_by: BTreeSet::new(),
            held_by: None,
        })
    }

    #[tokio::test]
    async fn what_is_asked_while_a_question_is_put_is_asked_as_one() {
        let (queue, asked) = (ProofQueue::default(), RefCell::new(Vec::new()));
        let put = |replicas: Vec<Replica>| {
            asked.borrow_mut().push(replicas.len());
            async move {
                tokio::task::yield_now().await;
                Ok(replicas.iter().map(|replica| format!("{replica:?}\n")).collect::<String>().into())
            }
        };
        let answers = join_all((1..=50).map(|number| queue.ask(replica(number), put))).await;
        for (number, answer) in (1..=50).zip(answers) {
            assert!(answer.unwrap().contains(&format!("{:?}", replica(number))), "{number} is answered");
        }
        assert_eq!(asked.borrow().iter().sum::<usize>(), 50, "each is asked about once");
        assert!(asked.borrow().len() <= 2, "{asked:?}");
    }

    #[tokio::test]
    async fn who_waits_for_one_that_goes_away_asks_itself() {
        let queue = ProofQueue::default();
        let never = |_| std::future::pending::<Said>();
        let mut first = Box::pin(queue.ask(replica(1), never));
        assert!((&mut first).now_or_never().is_none(), "it waits for the host");
        let answers = |_| async { Ok(Arc::from("told")) };
        let mut second = Box::pin(queue.ask(replica(2), answers));
        assert!((&mut second).now_or_never().is_none(), "it waits for the first");
        drop(first);
        assert_eq!(second.await, Ok(Arc::from("told")));
    }

    #[tokio::test]
    async fn who_was_asked_about_by_one_that_goes_away_asks_itself() {
        let queue = ProofQueue::default();
        let held = queue.turn.lock().await;
        let never = |_| std::future::pending::<Said>();
        let answers = |_| async { Ok(Arc::from("told")) };
        let (mut first, mut second) =
            (Box::pin(queue.ask(replica(1), never)), Box::pin(queue.ask(replica(2), answers)));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        drop(held);
        assert!((&mut first).now_or_never().is_none(), "it asks about both");
        assert!(queue.waiting.lock().is_empty());
        drop(first);
        assert_eq!(second.await, Ok(Arc::from("told")));
    }
}

//! A pass over many hosts.
//!
//! Owns: how many of them are asked at once. Keeps true: the answers stand in the order of the questions, and a host that
//! hangs takes one place of many. Never does: the phases of a deployment, where all instances are at it at once
//! (`execute/executor.rs`).

use std::future::Future;

use futures_util::stream::{FuturesUnordered, StreamExt as _};

/// A host takes a connection, and an answer of some MiB at the worst.
const HOSTS_AT_ONCE: usize = 128;

/// The answers of all hosts.
pub async fn each<F: Future>(questions: Vec<F>) -> Vec<F::Output> {
    let mut waiting = questions.into_iter().enumerate();
    let mut asked = FuturesUnordered::new();
    let mut answers = Vec::new();
    loop {
        let room = HOSTS_AT_ONCE - asked.len();
        asked.extend(waiting.by_ref().take(room).map(numbered));
        match asked.next().await {
            Some(answer) => answers.push(answer),
            None => break,
        }
    }
    answers.sort_unstable_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

async fn numbered<F: Future>((number, question): (usize, F)) -> (usize, F::Output) {
    (number, question.await)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pass_asks_a_bounded_number_of_hosts_at_once_and_answers_in_order() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let hosts = 3 * HOSTS_AT_ONCE + 1;
        let questions = (0..hosts).map(|host| {
            let (now, most) = (&now, &most);
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                // The first host is the slowest.
                tokio::time::sleep(Duration::from_secs((hosts - host) as u64)).await;
                now.fetch_sub(1, Ordering::Relaxed);
                host
            }
        });
        assert_eq!(each(questions.collect()).await, (0..hosts).collect::<Vec<_>>());
        assert_eq!(most.into_inner(), HOSTS_AT_ONCE);
    }
}

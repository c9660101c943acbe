//! Where branches and tags of other repositories are.
//!
//! Keeps true: a source that is slow is asked once at a time, and holds nobody up for long.
//!
//! `Commits`, which everything in the loop is keyed on, holds besides the config repository's two
//! commits the commit of each branch and tag of other repositories (`sources`, by address and name). They are asked
//! for at each fetch. So a branch that moved is another `Commits`: `decide` deploys it at once and ends the old one's
//! backoff, a sync prepares it anew, `is_settled` sees other releases and makes it a change with an intent, a failure
//! quarantines just that pair, drift is repaired against the sources of the last good one, and a recovery prepares
//! what its intent named. Where the files that are taken are the same, nothing differs and nothing is recorded. What
//! people ask for (retry, pin, rewind) is about the config repository's commits alone. A repository that does not
//! answer within 15 s stays at the commit it was at: as the mirror has it, else as the last good record says. It is
//! asked again when it has answered, so threads do not pile up behind one that is slow.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{
    model::{commit::CommitId, source::GitSource},
    release::Fetcher,
};

/// How long one repository may hold up what all the others bring. It goes on being asked.
const PATIENCE: Duration = Duration::from_secs(15);

/// The sources that were asked where they are, and have not answered yet.
pub type Asked = Arc<Mutex<BTreeSet<String>>>;

/// That a source is being asked: for as long as this lives nobody asks it again.
struct Asking {
    asked: Asked,
    name: String,
}

impl Asking {
    /// None where it is being asked already.
    fn begin(asked: &Asked, name: &str) -> Option<Self> {
        let is_first = asked.lock().insert(name.to_owned());
        is_first.then(|| Self { asked: asked.clone(), name: name.to_owned() })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.asked.lock().remove(&self.name);
    }
}

/// Where a source is now. What it does not say in time it may still find out: the mirror has it then. A thread that waits
/// for it cannot be stopped, so there is never a second one.
pub async fn ask(
    fetcher: &Arc<dyn Fetcher>,
    asked: &Asked,
    name: &str,
    source: &GitSource,
) -> Result<CommitId, String> {
    let Some(asking) = Asking::begin(asked, name) else {
        return Err("it was asked before, and has not answered yet".to_owned());
    };
    let (fetcher, source) = (fetcher.clone(), source.clone());
    let answer = tokio::task::spawn_blocking(move || {
        let _asking = asking;
        fetcher.commit(&source)
    });
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => answer.map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::*;
    use crate::{
        model::{
            source::{ArchiveSource, Revision},
            tree::Tree,
        },
        release::FetchError,
    };

    /// Answers a question when it is told to, and tells when it is asked one.
    struct Slow {
        is_asked: UnboundedSender<()>,
        may_answer: Mutex<mpsc::Receiver<()>>,
    }

    impl Fetcher for Slow {
        fn commit(&self, _: &GitSource) -> Result<CommitId, FetchError> {
            self.is_asked.send(()).expect("the test listens");
            self.may_answer.lock().recv().expect("the test tells");
            Ok("c0ffee".into())
        }

        fn last_commit(&self, _: &GitSource) -> Option<CommitId> {
            None
        }

        fn folder(&self, _: &GitSource, _: &CommitId) -> Result<Tree, FetchError> {
            Ok(Tree::default())
        }

        fn archive(&self, _: &ArchiveSource) -> Result<Tree, FetchError> {
            Ok(Tree::default())
        }
    }

    #[tokio::test]
    async fn a_source_that_is_slow_is_asked_once_at_a_time() {
        let (is_asked, mut hears) = unbounded_channel();
        let (tells, may_answer) = mpsc::channel();
        let fetcher: Arc<dyn Fetcher> = Arc::new(Slow { is_asked, may_answer: Mutex::new(may_answer) });
        let url = "https://git.example.org/other.git".to_owned();
        let source = GitSource { url, revision: Revision::Default, folder: String::new(), credentials: None };
        let asked = Asked::default();
        let first = tokio::spawn({
            let (fetcher, asked, source) = (fetcher.clone(), asked.clone(), source.clone());
            async move { ask(&fetcher, &asked, "other", &source).await }
        });
        hears.recv().await.expect("it is asked");
        // The wait for it may be over by now: the thread goes on, and no other joins it.
        first.abort();
        let again = ask(&fetcher, &asked, "other", &source).await;
        assert_eq!(again, Err("it was asked before, and has not answered yet".to_owned()));
        assert!(hears.try_recv().is_err(), "it is asked twice at once");
        tells.send(()).expect("it listens");
        while !asked.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tells.send(()).expect("it listens");
        assert_eq!(ask(&fetcher, &asked, "other", &source).await, Ok("c0ffee".into()));
        assert!(hears.try_recv().is_ok(), "it is not asked again");
    }
}

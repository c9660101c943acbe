//! The config repository that controllers share, and what each of them last saw of it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use evenkeel::{
    declare::Overrides,
    engine::{
        history::store::{ConfigSource, Files, HistoryStore, StoreError},
        prepare::{Prepared, prepare},
    },
    git::{Fetched, GitError, Tip, TransportError},
    model::{belief::Held, commit::CommitId, name::EnvironmentName, plan::Commits, tree::Tree},
    release::Unfetched,
};
use tokio::time::sleep;

use crate::{
    fleet::{Declared, ENVIRONMENT, FOLDER},
    judge::Judge,
    tale::{Tale, lock},
};

/// So many commits are kept worked out.
const REMEMBERED: usize = 8;
const URL: &str = "ssh://git@example.org/fleet.git";

pub struct Commit {
    number: u64,
    parent: Option<String>,
    pub declared: Declared,
    tree: Tree,
    /// None where it does not validate. Made when first needed.
    prepared: Option<Option<Arc<Prepared>>>,
}

#[derive(Default)]
pub struct Remote {
    commits: BTreeMap<String, Commit>,
    pub head: String,
    pub history: BTreeMap<CommitId, Files>,
    pub tip: Option<CommitId>,
    pub down: bool,
    pub slow: bool,
    /// The seats of controllers that do not reach it, while others do.
    pub cut_off: BTreeSet<String>,
    /// It takes the history, and no mark of a last good commit.
    pub unmarkable: bool,
    /// So many pushes arrive, and their answers do not.
    pub lost_answers: u32,
    mirrors: BTreeMap<String, Mirror>,
    counted: u64,
}

/// What a controller's state directory holds.
#[derive(Debug, Clone, Default)]
struct Mirror {
    head: Option<String>,
    tip: Option<CommitId>,
    /// The heads that the branch had when it was fetched.
    seen: BTreeSet<String>,
    /// The newest history commit that was believed as a whole.
    believed: Option<CommitId>,
}

impl Mirror {
    fn reads(&self, commit: &str) -> bool {
        [&self.tip, &self.believed].iter().any(|read| read.as_deref() == Some(commit))
    }
}

impl Remote {
    fn id(&mut self) -> String {
        self.counted += 1;
        format!("{:08x}{:032x}", self.counted.wrapping_mul(0x9e37_79b9) & 0xffff_ffff, self.counted)
    }

    /// A person pushes a commit.
    pub fn push(&mut self, declared: Declared, parent: Option<String>) -> String {
        let id = self.id();
        let tree = declared.tree();
        self.commits.insert(id.clone(), Commit { number: self.counted, parent, declared, tree, prepared: None });
        self.head = id.clone();
        id
    }

    /// A commit that no branch leads to any more, and that nobody has.
    pub fn lose(&mut self, commit: &str) {
        self.commits.remove(commit);
    }

    pub fn declared(&self) -> &Declared {
        &self.commits[&self.head].declared
    }

    pub fn parent_of(&self, commit: &str) -> Option<String> {
        self.commits.get(commit)?.parent.clone()
    }

    pub fn prepared(&mut self, id: &str) -> Option<Arc<Prepared>> {
        let commit = self.commits.get_mut(id)?;
        let prepared = commit.prepared.get_or_insert_with(|| {
            let environment = ENVIRONMENT.parse().expect("a name");
            let commits = Commits::of_config(Some(id.into()), Some(id.into()));
            prepare(&commit.tree, FOLDER, &environment, &Overrides::default(), commits, &Unfetched).ok().map(Arc::new)
        });
        prepared.clone()
    }

    pub fn tip_files(&self) -> Files {
        self.tip.as_ref().map(|tip| self.history[tip].clone()).unwrap_or_default()
    }

    /// What nobody reads any more.
    fn forget(&mut self) {
        let Self { history, mirrors, tip, commits, .. } = self;
        history.retain(|id, _| tip.as_ref() == Some(id) || mirrors.values().any(|mirror| mirror.reads(id)));
        let surplus = commits.len().saturating_sub(REMEMBERED);
        // Ids do not tell their order.
        let mut by_age: Vec<&mut Commit> = commits.values_mut().collect();
        by_age.sort_by_key(|commit| commit.number);
        by_age.into_iter().take(surplus).for_each(|commit| commit.prepared = None);
    }

    /// Whether a head that the controller of this controller fetched holds the commit.
    pub fn saw(&self, identity: &str, commit: &str) -> bool {
        let heads = self.mirrors.get(identity).into_iter().flat_map(|mirror| &mirror.seen);
        heads.into_iter().any(|head| self.is_ancestor(commit, head))
    }

    pub fn is_ancestor(&self, commit: &str, of: &str) -> bool {
        let mut next = VecDeque::from([of.to_owned()]);
        while let Some(id) = next.pop_front() {
            if id == commit {
                return true;
            }
            next.extend(self.parent_of(&id));
        }
        false
    }
}

/// The repository as the controller of one controller has it.
pub struct SimStore {
    pub remote: Arc<Mutex<Remote>>,
    pub judge: Arc<Mutex<Judge>>,
    pub tale: Arc<Tale>,
    pub identity: String,
    /// Tells the controllers of one controller apart.
    pub controller: u64,
}

impl SimStore {
    /// The way to the remote.
    async fn travel(&self) -> Result<(), StoreError> {
        let (down, slow) = {
            let remote = lock(&self.remote);
            (remote.down || remote.cut_off.contains(&self.identity), remote.slow)
        };
        sleep(Duration::from_millis(if slow { 4_000 } else { 60 })).await;
        if down { Err(self.silence().await) } else { Ok(()) }
    }

    async fn silence(&self) -> StoreError {
        self.tale.count("failed calls to the remote");
        sleep(Duration::from_secs(10)).await;
        let source = TransportError::Silence { host: "example.org".to_owned(), seconds: 10, doing: "waiting" };
        GitError::Remote { doing: "reach", url: URL.to_owned(), source: Box::new(source) }.into()
    }

    fn diverged(&self, seen: &Option<CommitId>, found: &Option<CommitId>) -> StoreError {
        let text = |commit: &Option<CommitId>| commit.as_ref().map_or("nothing".to_owned(), ToString::to_string);
        self.tale.count("lost races to write the history");
        let (url, reference) = (URL.to_owned(), "the history".to_owned());
        GitError::Diverged { url, reference, seen: text(seen), found: text(found) }.into()
    }

    fn unknown(commit: &str) -> StoreError {
        GitError::Incomplete { url: URL.to_owned(), reference: commit.to_owned() }.into()
    }
}

impl ConfigSource for SimStore {
    async fn fetch(&self) -> Result<Fetched, StoreError> {
        self.tale.count("fetches");
        self.travel().await?;
        {
            let mut remote = lock(&self.remote);
            let (head, tip) = (remote.head.clone(), remote.tip.clone());
            let mirror = remote.mirrors.entry(self.identity.clone()).or_default();
            (mirror.head, mirror.tip) = (Some(head.clone()), tip);
            mirror.seen.insert(head);
        }
        Ok(self.last_fetched().await?.expect("it was fetched"))
    }

    async fn last_fetched(&self) -> Result<Option<Fetched>, StoreError> {
        let remote = lock(&self.remote);
        let head = remote.mirrors.get(&self.identity).and_then(|mirror| mirror.head.clone());
        Ok(head.map(|head| Fetched {
            default_branch: "main".to_owned(),
            branches: [("main".to_owned(), head.into())].into(),
            changed: true,
            history: BTreeMap::new(),
        }))
    }

    async fn tree(&self, _: &CommitId, environment: &CommitId, _: &str) -> Result<Tree, StoreError> {
        let remote = lock(&self.remote);
        let commit = remote.commits.get(environment.as_str()).ok_or_else(|| Self::unknown(environment))?;
        Ok(commit.tree.clone())
    }

    async fn is_ancestor(&self, commit: &CommitId, of: &CommitId) -> Result<bool, StoreError> {
        Ok(lock(&self.remote).is_ancestor(commit, of))
    }

    async fn subject(&self, commit: &CommitId) -> Option<String> {
        Some(format!("Change {commit:.8}"))
    }
}

impl HistoryStore for SimStore {
    async fn histories(&self) -> Result<Vec<EnvironmentName>, StoreError> {
        Ok(Vec::new())
    }

    async fn tip(&self, _: &EnvironmentName) -> Result<Option<Tip>, StoreError> {
        let remote = lock(&self.remote);
        let tip = remote.mirrors.get(&self.identity).and_then(|mirror| mirror.tip.clone());
        Ok(tip.map(|commit| Tip { files: remote.history[&commit].clone(), commit }))
    }

    async fn head(&self, environment: &EnvironmentName, _: &'static [&'static str]) -> Result<Option<Tip>, StoreError> {
        self.tale.count("reads of the history's head");
        self.tip(environment).await
    }

    async fn append(
        &self,
        _: &EnvironmentName,
        seen: Option<CommitId>,
        files: Files,
        message: String,
    ) -> Result<CommitId, StoreError> {
        let ours = lock(&self.remote).mirrors.entry(self.identity.clone()).or_default().tip.clone();
        if ours != seen {
            return Err(self.diverged(&seen, &ours));
        }
        self.travel().await?;
        let (id, lost) = {
            let mut remote = lock(&self.remote);
            if remote.tip != seen {
                let found = remote.tip.clone();
                drop(remote);
                return Err(self.diverged(&seen, &found));
            }
            let id = CommitId::from(remote.id());
            let before = remote.tip_files();
            self.tale.tell(|| format!("history, by {}: {}", self.identity, message.lines().next().unwrap_or_default()));
            lock(&self.judge).appended(&mut remote, self.controller, &before, &files);
            remote.history.insert(id.clone(), files);
            remote.tip = Some(id.clone());
            remote.forget();
            let lost = remote.lost_answers > 0;
            remote.lost_answers = remote.lost_answers.saturating_sub(1);
            (id, lost)
        };
        if lost {
            self.tale.count("pushes whose answer was lost");
            return Err(self.silence().await);
        }
        sleep(Duration::from_millis(20)).await;
        lock(&self.remote).mirrors.entry(self.identity.clone()).or_default().tip = Some(id.clone());
        Ok(id)
    }

    async fn mark_good(&self, environment: &EnvironmentName, _: &Commits) -> Result<(), StoreError> {
        self.travel().await?;
        if !lock(&self.remote).unmarkable {
            return Ok(());
        }
        self.tale.count("marks that are refused");
        let (reference, why) = (format!("refs/evenkeel/{environment}/good"), "a hook says no".to_owned());
        Err(GitError::Refused { url: URL.to_owned(), reference, why }.into())
    }

    async fn held(&self, _: &EnvironmentName, asked: Held) -> Result<Held, StoreError> {
        let remote = lock(&self.remote);
        let held = |commits: BTreeSet<CommitId>| {
            commits.into_iter().filter(|commit| remote.saw(&self.identity, commit)).collect()
        };
        Ok(Held { default: held(asked.default), environment: held(asked.environment) })
    }

    async fn believed_before(
        &self,
        _: &EnvironmentName,
        newest: &CommitId,
        _: &'static [&'static str],
    ) -> Result<Option<Tip>, StoreError> {
        let remote = lock(&self.remote);
        let commit = remote.mirrors.get(&self.identity).and_then(|mirror| mirror.believed.clone());
        let commit = commit.filter(|commit| commit != newest);
        Ok(commit.map(|commit| Tip { files: remote.history[&commit].clone(), commit }))
    }

    async fn believe(&self, _: &EnvironmentName, commit: &CommitId) -> Result<(), StoreError> {
        lock(&self.remote).mirrors.entry(self.identity.clone()).or_default().believed = Some(commit.clone());
        Ok(())
    }
}

//! Releases that an instance lacks, and what is not known of those that are not built yet.

use super::{
    instance::{Differ, NOT_ASKED},
    rollout::Tier,
};
use crate::model::{
    desired::Resource,
    finding::{Code, Finding},
    observation::LiveRelease,
    plan::Action,
    release::Making,
    seen::Seen,
};

impl Differ<'_> {
    pub(super) fn releases(&mut self) {
        let live = self.live;
        for digest in &self.desired.releases {
            self.after.releases.insert(*digest);
            let reason = match live.releases.get(digest) {
                Some(Seen::Known(LiveRelease::Whole | LiveRelease::There)) => continue,
                Some(Seen::Known(LiveRelease::Touched)) => {
                    "it was touched on the instance: it is checked, and noted anew"
                }
                Some(Seen::Known(LiveRelease::Changed)) => "drift: files of it were changed on the instance",
                Some(Seen::Unknown(why)) => {
                    self.unknown.push(format!("release {}: {why}", digest.short()));
                    continue;
                }
                Some(Seen::Absent) => "the instance does not hold it yet",
                None => {
                    self.unknown.push(format!("release {}: {NOT_ASKED}", digest.short()));
                    continue;
                }
            };
            let Some(release) = self.inputs.releases.get(digest) else { continue };
            let users = self.desired.replicas.values().filter(|replica| replica.release == *digest);
            let resource = users
                .map(|replica| Resource::Service(replica.service.clone()))
                .next()
                .or_else(|| self.desired.sites.first().map(|site| Resource::Site(site.clone())));
            let Some(resource) = resource else { continue };
            let action = Action::StageRelease {
                release: *digest,
                source: release.origin(),
                files: release.files.len(),
                bytes: release.size(),
                due: !release.is_at_hand(),
            };
            if let Making::Due { .. } = release.making {
                let message = format!("the release of {resource} is not built yet");
                let hint = match self.waits_for_requirements(digest) {
                    true => {
                        "it is when this is applied; until then its digest stands for one that nobody knows, and \
                             which virtual environment it runs in is known after the build"
                    }
                    false => "it is when this is applied; until then its digest stands for one that nobody knows",
                };
                self.findings.push(Finding::warning(Code::NotBuilt, message).on(self.name()).hint(hint));
            }
            if release.making == Making::Unresolved {
                let message = format!(
                    "{} is new to {resource}, and nothing is fetched of it before it is merged",
                    release.source
                );
                let hint = "until then its digest stands for one that nobody knows";
                self.findings.push(Finding::warning(Code::NotFetched, message).on(self.name()).hint(hint));
            }
            let moved = self.inputs.moved.get(&resource).map(String::as_str);
            let moved = moved.filter(|_| live.releases.get(digest) == Some(&Seen::Absent));
            self.change(Tier::Prepare, &resource, action, moved.unwrap_or(reason));
        }
    }
}

//! One phase on one instance: what is handed to the host, and the events it reports back.

use std::time::Duration;

use super::{parse::strangers, quote::word, scripts::script};
use crate::model::{budget::Budget, digest::Digest, name::FleetName, outcome::Cause, paths, seal::Key, text};

/// Longer than any package installation that ends well; systemd then stops and undoes the phase.
pub const PHASE_LIMIT: Duration = Duration::from_secs(900);

/// Everything about a phase besides its steps.
#[derive(Debug, Clone)]
pub struct PhaseWork {
    pub fleet: FleetName,
    pub generation: u64,
    /// Name of the deployment's directory: the generation, or for a drift repair one of its own.
    pub name: String,
    /// Its number among the phases of the deployment, as its directory's name.
    pub phase: u32,
    /// What the manifest must be when the phase begins; None: there must be none.
    pub manifest_before: Option<Digest>,
    /// With which the digests in these are sealed, where there is no key yet.
    pub new_key: Option<Key>,
    /// Old and new together, in force before the first change.
    pub manifest_during: String,
    /// In force once all of the phase is done.
    pub manifest_after: String,
    /// Whether the deployment is done here with this phase.
    pub last: bool,
    /// How many releases stay there beyond those that are in use.
    pub keep_releases: u32,
    /// Whether the host undoes the phase by itself when it fails.
    pub undo_on_failure: bool,
    /// How long the host may be out of reach before it counts as lost.
    pub lost_after: Duration,
}

/// What became of a deployment on one host, as its own files tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    pub state: TrailState,
    /// The number of its newest phase here; 0 where there is none.
    pub newest_phase: u32,
    /// The last step that failed.
    pub failed: Option<FailedStep>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrailState {
    /// It never began here.
    Nothing,
    /// A phase, or an undo, runs at this moment.
    Running,
    /// Its newest phase is done, and another was to follow.
    Between,
    /// Its last phase is done.
    Finished,
    /// A phase was cut off, or could not be undone.
    Broken,
    Undone,
}

/// What happens to a step on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepEvent {
    Started(String),
    Done(String),
    /// It goes on, and waits for this.
    Waiting {
        step: String,
        what: String,
    },
    Failed(FailedStep),
    /// Undoing one thing failed; undoing went on.
    UndoFailed {
        subject: String,
        message: String,
    },
}

/// A step that a host did not carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStep {
    pub step: String,
    /// [`Cause::Step`], [`Cause::Host`] or [`Cause::Overtaken`].
    pub cause: Cause,
    pub message: String,
}

/// A line of the events file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Event(StepEvent),
    /// The unit has ended: systemd's word for how.
    End(String),
}

impl Line {
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, '\t');
        let (kind, subject, rest) = (fields.next()?, fields.next()?.to_owned(), fields.next()?);
        // The script writes line breaks within a message as record separators.
        let text = |text: &str| {
            let said = text.replace('\u{1e}', "\n");
            text::of_host(strangers::port_held(&said).as_deref().unwrap_or(said.trim()))
        };
        Some(match kind {
            "started" => Line::Event(StepEvent::Started(subject)),
            "done" => Line::Event(StepEvent::Done(subject)),
            "waiting" => Line::Event(StepEvent::Waiting { step: subject, what: text(rest) }),
            "failed" => {
                let (cause, message) = failed_by(rest);
                Line::Event(StepEvent::Failed(FailedStep { step: subject, cause, message: text(message) }))
            }
            "undo-failed" => Line::Event(StepEvent::UndoFailed { subject, message: text(rest) }),
            "end" => Line::End(subject),
            _ => return None,
        })
    }
}

/// The cause before a message. A controller before this one had scripts that wrote none.
fn failed_by(rest: &str) -> (Cause, &str) {
    match rest.split_once('\t') {
        Some(("commit", message)) => (Cause::Step, message),
        Some(("overtaken", message)) => (Cause::Overtaken, message),
        Some((_, message)) => (Cause::Host, message),
        None => (Cause::Step, rest),
    }
}

impl Trail {
    /// Reads what [`TRAIL`] prints.
    pub(super) fn parse(output: &str) -> Option<Self> {
        let mut lines = output.lines();
        let (state, newest_phase) = lines.next()?.split_once(' ')?;
        let state = match state {
            "nothing" => TrailState::Nothing,
            "running" => TrailState::Running,
            "between" => TrailState::Between,
            "finished" => TrailState::Finished,
            "broken" => TrailState::Broken,
            "undone" => TrailState::Undone,
            _ => return None,
        };
        let failed = lines.find_map(|line| match Line::parse(line)? {
            Line::Event(StepEvent::Failed(failed)) => Some(failed),
            _ => None,
        });
        // Every instance is asked for as many phases as the one that tells of most.
        let newest_phase = newest_phase.parse().ok().filter(|phase| *phase <= Budget::STANDARD.phases)?;
        Some(Self { state, newest_phase, failed })
    }
}

impl PhaseWork {
    pub(super) fn base(&self) -> String {
        paths::base(&self.fleet)
    }

    /// The deployment's directory.
    pub(super) fn deployment(&self) -> String {
        format!("{}/deployments/{}", self.base(), self.name)
    }

    /// The phase's directory.
    pub(super) fn directory(&self) -> String {
        format!("{}/{}", self.deployment(), self.phase)
    }

    pub(super) fn events(&self) -> String {
        format!("{}/events", self.directory())
    }

    /// Unpacks the archive on standard input, starts the unit, and prints the events until it has ended.
    /// A phase that was begun already, by a call whose answer was lost, is only listened to.
    pub(super) fn launch(&self, unit: &str) -> String {
        let stop = format!("/bin/sh {}/stop.sh", self.directory());
        let start = format!("{}/apply.sh", self.directory());
        format!(
            "set -e\nexec 2>&1\nunit={unit}\ndeployment={deployment}\nphase={phase}\nevents={events}\n\
             if [ ! -e \"$events\" ]; then\n\
             {UNPACK}\n\
             {way_in}way_in\nprintf '%s' \"$way\" >\"$deployment/$phase/way-in\" || full\n\
             {run}fi\n{drop_ins}{follow}",
            unit = word(unit),
            deployment = word(&self.deployment()),
            phase = self.phase,
            events = word(&self.events()),
            way_in = script!("way_in.sh"),
            run = run_unit(&start, "", Some(&stop)),
            drop_ins = script!("drop_ins.sh"),
            follow = FOLLOW,
        )
    }
}

/// What changes how programs read their arguments or print; a host may set it for all services.
const UNSET: &str = "POSIXLY_CORRECT BLOCK_SIZE BLOCKSIZE DF_BLOCK_SIZE DU_BLOCK_SIZE QUOTING_STYLE TIME_STYLE TAR_OPTIONS GREP_OPTIONS";

/// Starts a script as the transient unit `$unit`, whose name excludes a second one. A unit that is ending,
/// or undoing itself, is waited for. Exit status 75 (EX_TEMPFAIL): one runs.
pub(super) fn run_unit(script: &str, arguments: &str, stop: Option<&str>) -> String {
    let stop = stop.map(|stop| format!("-p ExecStopPost={} ", word(stop))).unwrap_or_default();
    format!(
        "tries=0\n\
         until systemd-run --quiet --collect --unit=\"$unit\" -p Type=exec -p RuntimeMaxSec={limit} \
         -p TimeoutStopSec=300 -p UnsetEnvironment='{UNSET}' {stop}-- /bin/sh {script} {arguments}; do\n  \
           case $(systemctl show --value -p ActiveState \"$unit\") in\n  \
           active | activating | reloading) exit 75 ;;\n  \
           deactivating) ;;\n  \
           *) tries=$((tries + 1)); [ \"$tries\" -lt 20 ] || exit 1 ;;\n  \
           esac\n  \
           sleep 0.05\n\
         done\n",
        limit = PHASE_LIMIT.as_secs(),
        script = word(script),
    )
}

/// Undoing needs room, and so does telling of it. A megabyte and a few files are set aside for that before anything
/// changes (`undo.sh` gives them back), so on a disk that is full nothing is begun. An earlier phase is undone by
/// `undo.sh` too: it is replaced as a whole.
const UNPACK: &str = r#"mkdir -p "$deployment" || { df -i -- "${deployment%/*}"; exit 1; }
chmod 0700 "$deployment"
full() {
  rm -rf "$deployment/reserve" "$deployment/reserved-files"
  echo "on the disk of $deployment are free:$(df -h --output=avail -- "$deployment" | tail -n 1), and inodes:$(df --output=iavail -- "$deployment" | tail -n 1); a megabyte and 32 inodes are needed"
  exit 1
}
files() {
  mkdir -p "$deployment/reserved-files" || return 1
  set --
  while [ $# -lt 32 ]; do set -- "$@" "$deployment/reserved-files/$#"; done
  touch -- "$@" 2>/dev/null
}
[ -e "$deployment/reserve" ] || { head -c 1048576 /dev/zero >"$deployment/reserve" && files; } || full
tar -x -C "$deployment" && sync "$deployment/reserve" "$deployment/$phase/undo.sh" &&
  mv -fT "$deployment/$phase/undo.sh" "$deployment/undo.sh" && sync "$deployment" || full"#;

/// Prints an events file as it grows, to its `end`. A unit that is gone without one was cut off: the host
/// went down under it, or somebody killed what systemd runs after it. Empty lines tell that the host is there, every two
/// seconds of silence. Each pause of the shell's own would be a program, on a host that has something better to do: `tail`
/// waits for the file to grow, and only wakes whoever reads it; a clock wakes it, too.
/// One that ended without any was kept from writing them, as a drop-in for all services does that hardens them.
const FOLLOW: &str = r#"runs() { case $(systemctl show --value -p ActiveState "$unit") in active | activating | deactivating | reloading) ;; *) false ;; esac; }
tries=0
until [ -e "$events" ]; do
  tries=$((tries + 1))
  if [ "$tries" = 100 ]; then
    tries=0
    echo
    if ! runs && [ ! -e "$events" ]; then
      drop_ins_on_disk "$unit"
      found=$(printf '%s' "$found" | sed 1d | tr '\n' ' ')
      printf 'failed\tbegin\thost\t%s cannot write to %s on this host%s\nend\thindered\t-\n' "$unit" "$deployment" \
        "${found:+; systemd adds to it what evenkeel did not write: ${found% } (a plan tells what exempts it)}"
      exit 0
    fi
  fi
  sleep 0.02
done
{
  while sleep 0.5; do echo; done &
  exec sh -c 'echo "by $$ $1"; exec tail -n +1 -f -- "$2"' sh "$!" "$events"
} 2>/dev/null | {
  by='' quiet=0
  woken() { read -r line || sleep 0.5; case $line in 'by '*) by=${line#by } ;; esac; }
  while :; do
    if IFS= read -r line <&4; then
      quiet=0
    else
      # An empty line is the clock's.
      woken
      [ ! "$line" ] || continue
      quiet=$((quiet + 1))
      [ "$quiet" -ge 4 ] || continue
      quiet=0
      echo
      if runs; then continue; fi
      IFS= read -r line <&4 || line='end	cut-off	-'
    fi
    printf '%s\n' "$line"
    case $line in end*) break ;; esac
  done 4<"$events"
  while [ ! "$by" ]; do woken; done
  kill $by 2>/dev/null || :
}
"#;

/// What became of the deployment in `$deployment`: `STATE NEWEST_PHASE`, and the last line of a step that failed.
pub(super) const TRAIL: &str = r#"newest=0
begun=
for phase in $(ls -1 "$deployment" 2>/dev/null | grep -x '[0-9][0-9]*' | sort -n); do
  [ -e "$deployment/$phase/journal" ] && newest=$phase && begun=yes
done
running=no
case $(systemctl show --value -p ActiveState "$unit") in active | activating | deactivating | reloading) running=yes ;; esac
if [ $running = yes ]; then state=running
elif [ -z "$begun" ]; then state=nothing
elif [ -e "$deployment/undone" ]; then state=undone
elif [ -e "$deployment/undoing" ]; then state=broken
elif [ -e "$deployment/finished" ]; then state=finished
elif tail -n 1 "$deployment/$newest/events" 2>/dev/null | grep -q '^end	success	'; then state=between
else state=broken
fi
echo "$state $newest"
# A step that a host's end took with it is no failure of the step: nothing is said then of how the phase ended.
if grep -qs '^end	' "$deployment/$newest/events"; then cat "$deployment"/*/events | grep '^failed	' | tail -n 1; fi
true
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_back() {
        let failed = |cause, message: &str| FailedStep { step: "a/b".into(), cause, message: message.into() };
        for (line, expected) in [
            ("failed\ta/b\tcommit\tfirst\u{1e}second ", failed(Cause::Step, "first\nsecond")),
            ("failed\ta/b\tovertaken\tno", failed(Cause::Overtaken, "no")),
            ("failed\ta/b\thost\tno", failed(Cause::Host, "no")),
            ("failed\ta/b\twhat a later version says\tno", failed(Cause::Host, "no")),
            ("failed\ta/b\tno, plan again", failed(Cause::Step, "no, plan again")),
        ] {
            assert_eq!(Line::parse(line), Some(Line::Event(StepEvent::Failed(expected))), "{line}");
        }
        assert_eq!(Line::parse("end\ttimeout\tyes"), Some(Line::End("timeout".into())));
        assert_eq!(Line::parse("garbage"), None);
        let trail = Trail::parse("broken 3\nfailed\ta/b\thost\tno such thing\n");
        let failed = Some(failed(Cause::Host, "no such thing"));
        assert_eq!(trail, Some(Trail { state: TrailState::Broken, newest_phase: 3, failed }));
        assert_eq!(Trail::parse("perhaps 3"), None);
        assert_eq!(Trail::parse("broken 4294967295"), None, "nobody is asked to undo so many phases");
    }
}

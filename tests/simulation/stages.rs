//! Waves of more than one stage, as rollouts with a pause have them: carried out on simulated hosts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use evenkeel::{
    decide::FailureScope,
    declare::Overrides,
    engine::{
        execute::{
            cancellation::Halting,
            executor::{Ended, Executor},
        },
        history::log,
        observe::probe::{observe, plan_from},
        prepare::{Prepared, declared, gathered},
    },
    model::{
        event::EventKind,
        name::InstanceName,
        plan::{Commits, Plan, Rank, Verb},
    },
    release::{Builds, Unfetched},
};

use crate::{
    fleet::{Declared, ENVIRONMENT, FOLDER, Service, Sick, instance},
    host::{SimHost, Wire},
    judge::Judge,
    machine::Machine,
    remote::{Remote, SimStore},
    tale::{Tale, lock},
};

type Hosts = BTreeMap<InstanceName, Arc<SimHost>>;

/// One service on two instances, of which the second is slow.
fn prepared(sick: Sick) -> Prepared {
    let on = BTreeSet::from([0, 1]);
    let alpha = Service { version: 1, code: 1, packages: None, sick, on, after: None, port: 8000, replaces: false };
    let fleet = Declared {
        instances: 2,
        services: BTreeMap::from([("alpha", alpha)]),
        site: None,
        rollback_on_failure: true,
        package: false,
        copies: false,
        broken: false,
    };
    let (tree, environment) = (fleet.tree(), ENVIRONMENT.parse().expect("a name"));
    let declared = declared(&tree, FOLDER, &environment, &Overrides::default()).expect("it validates");
    gathered(declared, &tree, Commits::default(), &Unfetched, Builds::default()).expect("its code is there")
}

fn hosts() -> Hosts {
    let tale = Arc::new(Tale::new(false));
    let (trips, _) = tokio::sync::mpsc::unbounded_channel();
    let machine = |number: usize| {
        let machine = Machine::new(instance(number), tale.clone(), trips.clone());
        machine.state().slow = if number == 0 { 1 } else { 40 };
        let host = SimHost::new(machine, Arc::new(Wire::default()));
        (instance(number).parse().expect("a name"), Arc::new(host))
    };
    (0..2).map(machine).collect()
}

/// What starts and what is waited for is a stage of its own.
async fn staged(prepared: &Prepared, hosts: &Hosts) -> Plan {
    let mut plan = plan_from(prepared, &observe(prepared, hosts, &|_| {}).await, None);
    for step in plan.steps.iter_mut().filter(|step| step.action.traits().rank >= Rank::Run) {
        step.phase.stage = 1;
    }
    plan.steps.sort_by_key(|step| step.phase);
    plan
}

fn empty_history() -> SimStore {
    let tale = Arc::new(Tale::new(false));
    let judge = Arc::new(Mutex::new(Judge::new(tale.clone(), BTreeMap::new())));
    SimStore { remote: Arc::new(Mutex::new(Remote::default())), judge, tale, identity: "a".to_owned(), controller: 1 }
}

/// Carries it out; the steps that were done, in their order, and how it ended.
async fn carried_out(prepared: &Prepared, plan: &Plan, hosts: &Hosts) -> (Vec<(String, Verb)>, Ended) {
    let done = Arc::new(Mutex::new(Vec::new()));
    let heard = done.clone();
    let watch = move |event: EventKind| {
        if let EventKind::StepDone { instance, verb, .. } = event {
            lock(&heard).push((instance.to_string(), verb));
        }
    };
    // No deployment is open in a history that is not there yet.
    let newest = log::newest(&empty_history(), &plan.environment).await.expect("it is read");
    let executor = Executor {
        prepared,
        plan,
        hosts,
        lease: &newest.lease_while_idle().expect("no deployment is open"),
        name: "1".to_owned(),
        begun: Default::default(),
        undo_on_failure: true,
        scope: FailureScope { rule: Default::default(), touched: Default::default(), completes: false },
        halt: &Halting::never(),
        watch: &watch,
    };
    let ended = executor.run().await;
    let done = lock(&done).clone();
    (done, ended)
}

fn at<T>(simulated: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(simulated)
}

#[test]
fn an_instance_goes_through_the_stages_of_a_wave_without_waiting_for_another() {
    at(async {
        let (prepared, hosts) = (prepared(Sick::No), hosts());
        let plan = staged(&prepared, &hosts).await;
        let (done, ended) = carried_out(&prepared, &plan, &hosts).await;
        assert_eq!(ended, Ended::Applied);
        let place =
            |name: &str, verb| done.iter().position(|step| *step == (name.to_owned(), verb)).expect("it is done");
        assert!(place("h1", Verb::Start) < place("h2", Verb::Enable), "{done:?}");
        assert!(place("h2", Verb::Enable) < place("h2", Verb::Start), "{done:?}");
        assert_eq!(staged(&prepared, &hosts).await.steps, [], "what the hosts hold is what is declared");
    });
}

#[test]
fn every_stage_of_a_wave_that_fails_is_undone() {
    at(async {
        let (prepared, hosts) = (prepared(Sick::Unhealthy), hosts());
        let before: Vec<BTreeSet<String>> = files(&hosts);
        let plan = staged(&prepared, &hosts).await;
        let (done, ended) = carried_out(&prepared, &plan, &hosts).await;
        assert!(matches!(ended, Ended::RolledBack(_)), "{ended:?}");
        assert!(done.iter().any(|(_, verb)| *verb == Verb::Start), "{done:?}");
        assert_eq!(files(&hosts), before);
    });
}

/// Units and settings that lie on each host.
fn files(hosts: &Hosts) -> Vec<BTreeSet<String>> {
    let of = |host: &Arc<SimHost>| {
        host.machine.state().files.keys().filter(|path| path.starts_with("/etc/")).cloned().collect()
    };
    hosts.values().map(of).collect()
}

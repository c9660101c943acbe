//! Certificates that sites are served with: what is wrong with one is refused, a change of one is told nginx.

use evenkeel::{
    model::{
        digest::Digest,
        drift::{Difference, DriftPolicy, DriftRule},
        observation::{Checked, LiveCertificate},
        seen::Seen,
    },
    plan::drift::{BackedOff, by_policy},
};

use crate::{
    declared::{Declared, example},
    text::{findings, steps},
    world::World,
};

const PEM: &str = "/etc/letsencrypt/live/app/fullchain.pem";

fn with_tls() -> Declared {
    example()
        .append("sites/app.yaml", &format!("tls: {{certificate: {PEM}, key: /etc/letsencrypt/live/app/privkey.pem}}"))
}

fn fine() -> LiveCertificate {
    let until = "Dec  1 10:00:00 2026 GMT".to_owned();
    let names = vec!["*.sophia-intel.ai".to_owned()];
    let checked = Checked { belong_together: true, until, seconds_left: 22 * 24 * 3600, names };
    LiveCertificate { digest: Seen::Known(Digest::of("new")), key: Seen::Known(()), checked: Seen::Known(checked) }
}

/// What is planned where the certificate is so.
fn planned(change: impl FnOnce(&mut LiveCertificate)) -> String {
    let mut live = fine();
    change(&mut live);
    let world = World::live(&with_tls()).on("ai-core", |host| _ = host.certificates.insert(PEM.to_owned(), live));
    let plan = world.plan();
    format!("{}{}", steps(&plan), findings(&plan))
}

fn checked(change: impl FnOnce(&mut Checked)) -> String {
    planned(|live| match &mut live.checked {
        Seen::Known(checked) => change(checked),
        other => panic!("{other:?}"),
    })
}

#[test]
fn one_that_is_as_nginx_read_it_plans_nothing() {
    let plan = World::live(&with_tls()).plan();
    assert_eq!((steps(&plan), findings(&plan)), (String::new(), String::new()));
}

#[test]
fn a_renewed_one_is_told_nginx_once() {
    let mut world = World::live(&with_tls()).on("ai-core", |host| _ = host.certificates.insert(PEM.to_owned(), fine()));
    let plan = world.plan();
    insta::assert_snapshot!(steps(&plan), @"1 ai-core reload nginx.service (/etc/letsencrypt/live/app/fullchain.pem has changed since nginx read it)");
    world.apply(&plan);
    assert_eq!(steps(&world.plan()), "");
}

#[test]
fn one_that_nginx_is_not_told_of_is_not_taken_for_read() {
    let mut world = World::live(&with_tls()).on("ai-core", |host| {
        host.certificates.insert(PEM.to_owned(), fine());
        host.edit("/etc/systemd/system/sophia-real_time_chat_mcp@8001.service", "[Service]\n");
    });
    let policy =
        DriftPolicy { default: DriftRule::Repair, by_difference: [(Difference::Nginx, DriftRule::Ignore)].into() };
    let mut plan = world.plan();
    by_policy(&mut plan, &policy, &BackedOff::new());
    assert!(!plan.steps.is_empty() && !steps(&plan).contains("reload nginx"), "{}", steps(&plan));
    world.apply(&plan);
    insta::assert_snapshot!(steps(&world.plan()), @"1 ai-core reload nginx.service (/etc/letsencrypt/live/app/fullchain.pem has changed since nginx read it)");
}

#[test]
fn what_cannot_be_served_is_refused() {
    insta::assert_snapshot!(planned(|live| live.digest = Seen::Absent), @r"
    ai-core no-certificate: /etc/letsencrypt/live/app/fullchain.pem, the certificate of site/app, does not exist
      hint: put it there first; an ACME client gets one while the site has `acme_root` and no `tls`
    ");
    insta::assert_snapshot!(planned(|live| live.key = Seen::Unknown("it is no file that can be read".to_owned())), @r"
    1 ai-core reload nginx.service (/etc/letsencrypt/live/app/fullchain.pem has changed since nginx read it)
    ai-core unreadable-certificate: /etc/letsencrypt/live/app/privkey.pem, the key of site/app: it is no file that can be read
      hint: name a file in PEM, or a link to one
    ");
    insta::assert_snapshot!(planned(|live| live.checked = Seen::Unknown(format!("openssl reads no certificate in {PEM}"))), @r"
    1 ai-core reload nginx.service (/etc/letsencrypt/live/app/fullchain.pem has changed since nginx read it)
    ai-core unreadable-certificate: the certificate of site/app cannot be used: openssl reads no certificate in /etc/letsencrypt/live/app/fullchain.pem
      hint: both must be PEM, the key without a passphrase
    ");
    insta::assert_snapshot!(checked(|checked| checked.belong_together = false), @r"
    1 ai-core reload nginx.service (/etc/letsencrypt/live/app/fullchain.pem has changed since nginx read it)
    ai-core wrong-key: /etc/letsencrypt/live/app/privkey.pem is not the key of /etc/letsencrypt/live/app/fullchain.pem, the certificate of site/app
      hint: name the two that were made together
    ");
    insta::assert_snapshot!(checked(|checked| checked.seconds_left = 0), @r"
    1 ai-core reload nginx.service (/etc/letsencrypt/live/app/fullchain.pem has changed since nginx read it)
    ai-core ended-certificate: /etc/letsencrypt/live/app/fullchain.pem, the certificate of site/app, has ended on Dec  1 10:00:00 2026 GMT
      hint: renew it; then plan again
    ");
}

#[test]
fn one_that_ends_soon_and_one_that_nobody_can_check_are_warned_of() {
    insta::assert_snapshot!(checked(|checked| checked.seconds_left = 21 * 24 * 3600 - 1), @r"
    1 ai-core reload nginx.service (/etc/letsencrypt/live/app/fullchain.pem has changed since nginx read it)
    ai-core certificate-ends: /etc/letsencrypt/live/app/fullchain.pem, the certificate of site/app, ends on Dec  1 10:00:00 2026 GMT
      hint: renew it; evenkeel reloads nginx when the file changes
    ");
    insta::assert_snapshot!(planned(|live| live.checked = Seen::Absent), @r"
    1 ai-core reload nginx.service (/etc/letsencrypt/live/app/fullchain.pem has changed since nginx read it)
    ai-core unchecked-certificate: nobody knows whether /etc/letsencrypt/live/app/privkey.pem belongs to /etc/letsencrypt/live/app/fullchain.pem, and until when it is valid
      hint: openssl is not there: declare `packages: [openssl]` in instances/ai-core.yaml
    ");
}

#[test]
fn one_that_is_for_other_names_is_warned_of() {
    let named = |names: &[&str]| {
        checked(|checked| checked.names = names.iter().map(|name| (*name).to_owned()).collect())
            .contains("certificate-names")
    };
    for fits in ["app.sophia-intel.ai", "*.sophia-intel.ai"] {
        assert!(!named(&["other.test", fits]), "{fits}");
    }
    for other in ["sophia-intel.ai", "*.app.sophia-intel.ai", "*.ai", "*", "xapp.sophia-intel.ai", "*.other.test"] {
        assert!(named(&[other]), "{other}");
    }
    assert!(named(&[]));
    insta::assert_snapshot!(checked(|checked| checked.names = vec!["a.test".to_owned(), "b.test".to_owned()]), @r"
    1 ai-core reload nginx.service (/etc/letsencrypt/live/app/fullchain.pem has changed since nginx read it)
    ai-core certificate-names: /etc/letsencrypt/live/app/fullchain.pem, the certificate of site/app, is for a.test, b.test, and the site is app.sophia-intel.ai
      hint: name a certificate for that domain: browsers refuse this one
    ");
}

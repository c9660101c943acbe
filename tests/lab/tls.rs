//! Sites that speak TLS, with certificates that lie on the host.

use crate::{
    fleet::Fleet,
    world::{Host, World, assert_is, wait_for},
};

/// Makes a key and a certificate of so many days, and links to it as an ACME client does.
fn certificate(host: &Host, name: &str, days: i32) {
    host.run(&format!(
        "mkdir -p /etc/labtls && cd /etc/labtls &&
         stamp=$(mktemp -u {name}-XXXXXX) &&
         openssl ecparam -name prime256v1 -genkey -noout -out $stamp.key &&
         openssl req -new -key $stamp.key -subj /CN={name}.test -out $stamp.csr 2>/dev/null &&
         openssl x509 -req -in $stamp.csr -signkey $stamp.key -days {days} -out $stamp.pem 2>/dev/null &&
         ln -sfn $stamp.key {name}.key && ln -sfn $stamp.pem {name}.pem"
    ));
}

fn tls(name: &str) -> String {
    format!("tls: {{certificate: /etc/labtls/{name}.pem, key: /etc/labtls/{name}.key}}")
}

/// What curl prints of a page that is asked for by TLS.
fn asked(host: &Host, name: &str, arguments: &str, path: &str) -> String {
    host.run(&format!(
        "curl -sk --max-time 5 --resolve {name}.test:443:127.0.0.1 {arguments} https://{name}.test{path}"
    ))
}

/// The fingerprint of the certificate that is shown to who asks.
fn shown(host: &Host, name: &str) -> String {
    host.run(&format!(
        "openssl s_client -connect 127.0.0.1:443 -servername {name}.test </dev/null 2>/dev/null | openssl x509 -noout -fingerprint"
    ))
}

fn lies(host: &Host, name: &str) -> String {
    host.run(&format!("openssl x509 -in /etc/labtls/{name}.pem -noout -fingerprint"))
}

pub fn a_site_speaks_tls_and_plain_http_leads_there(world: &World) {
    let fleet = Fleet::new(world, "secure");
    let h2 = world.host("h2");
    certificate(h2, "secure", 90);
    h2.write("/srv/acme/.well-known/acme-challenge/token", "the answer");
    fleet.service("alpha", fleet.port(0), &["h2"], "env: {SITE: \"${site.secure.url}\"}");
    fleet.write("frontend/index.html", "the page");
    let rest = "frontend: {source: {path: frontend}}\nroutes: {/api/: {service: alpha}}\nacme_root: /srv/acme";
    // As it is before the first certificate is there.
    fleet.site("secure", &["h2"], rest);
    fleet.deploy().ends_with(0);
    assert_is("an ACME answer", h2.browse("secure.test", "/.well-known/acme-challenge/token").1, "the answer");
    assert_is("the page", h2.browse("secure.test", "/").1, "the page");

    fleet.site("secure", &["h2"], &format!("{rest}\n{}", tls("secure")));
    fleet.deploy().ends_with(0);
    assert_is("the page", asked(h2, "secure", "", "/"), "the page");
    assert_is("the protocol", asked(h2, "secure", "-o /dev/null -w '%{http_version}'", "/"), "2");
    for path in ["/", "/api/x"] {
        let headers = asked(h2, "secure", "-o /dev/null -D -", path).to_lowercase();
        assert_is(path, headers.matches("strict-transport-security: max-age=31536000").count(), 1);
    }
    assert!(asked(h2, "secure", "", "/api/x").starts_with("alpha h2 /x "));
    let answer = h2.head("secure.test", "/a?b=c", "");
    assert_is(
        "where plain HTTP leads",
        (answer.status, answer.get("Location")),
        (308, Some("https://secure.test/a?b=c".to_owned())),
    );
    assert_is("an ACME answer", h2.browse("secure.test", "/.well-known/acme-challenge/token").1, "the answer");
    assert!(
        !h2.succeeds(
            "openssl s_client -tls1_1 -cipher ALL:@SECLEVEL=0 -connect 127.0.0.1:443 -servername secure.test </dev/null"
        ),
        "TLS 1.1 is spoken"
    );
    let site = h2.of_process(&fleet.unit("alpha", fleet.port(0)), "environ");
    assert!(site.contains(&b"SITE=https://secure.test".to_vec()), "a reference to the site is not to TLS");
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());
}

pub fn a_renewed_certificate_reloads_nginx_and_nothing_else(world: &World) {
    let fleet = Fleet::new(world, "renewed");
    let h2 = world.host("h2");
    certificate(h2, "renewed", 90);
    fleet.write("frontend/index.html", "the page");
    fleet.site("renewed", &["h2"], &format!("frontend: {{source: {{path: frontend}}}}\n{}", tls("renewed")));
    fleet.deploy().ends_with(0);
    assert_is("what is shown", shown(h2, "renewed"), lies(h2, "renewed"));

    certificate(h2, "renewed", 90);
    assert!(shown(h2, "renewed") != lies(h2, "renewed"), "nginx has read it already");
    assert_is("the plan", fleet.plan().changes(), vec!["h2 reload nginx.service".to_owned()]);
    let ran = fleet.apply().ends_with(0);
    assert!(ran.said.contains("/etc/labtls/renewed.pem has changed since nginx read it"), "{}", ran.said);
    assert_is("what is shown", shown(h2, "renewed"), lies(h2, "renewed"));
    assert_is("the next plan", fleet.plan().changes(), Vec::<String>::new());

    // And by the loop, without a new generation.
    let _loop = fleet.reconcile();
    fleet.is_live(&fleet.commit());
    certificate(h2, "renewed", 90);
    wait_for("the new certificate", || (shown(h2, "renewed") == lies(h2, "renewed")).then_some(()));
}

pub fn a_certificate_that_cannot_be_served_is_refused(world: &World) {
    let fleet = Fleet::new(world, "unfitting");
    let h2 = world.host("h2");
    fleet.write("frontend/index.html", "the page");
    fleet.site("unfitting", &["h2"], &format!("frontend: {{source: {{path: frontend}}}}\n{}", tls("unfitting")));
    let before = world.contents();
    let refused = |code: &str, said: &str| {
        let ran = fleet.deploy().ends_with(4);
        let told = format!("{}{}", ran.said, ran.errors);
        assert!(told.contains(code) && told.contains(said), "expected {code}: {said}\n{told}");
    };
    refused("no-certificate", "/etc/labtls/unfitting.pem, the certificate of site/unfitting, does not exist");
    certificate(h2, "unfitting", 90);
    h2.run("mv /etc/labtls/unfitting.key /tmp/own.key");
    refused("no-certificate", "/etc/labtls/unfitting.key, the key of site/unfitting, does not exist");
    h2.run("openssl ecparam -name prime256v1 -genkey -noout -out /etc/labtls/unfitting.key");
    refused("wrong-key", "/etc/labtls/unfitting.key is not the key of /etc/labtls/unfitting.pem");
    h2.run("openssl ec -aes128 -passout pass:x -in /etc/labtls/unfitting.key -out /etc/labtls/locked 2>/dev/null; mv /etc/labtls/locked /etc/labtls/unfitting.key");
    refused("unreadable-certificate", "openssl reads no key in /etc/labtls/unfitting.key, or one with a passphrase");
    h2.run("rm /etc/labtls/unfitting.key && mkdir /etc/labtls/unfitting.key");
    refused("unreadable-certificate", "/etc/labtls/unfitting.key, the key of site/unfitting: it is no file");
    h2.run("rmdir /etc/labtls/unfitting.key; echo nonsense >/tmp/nonsense; ln -sfn /tmp/nonsense /etc/labtls/unfitting.pem; echo x >/etc/labtls/unfitting.key");
    refused("unreadable-certificate", "openssl reads no certificate in /etc/labtls/unfitting.pem");
    h2.run("rm /etc/labtls/unfitting.*");
    certificate(h2, "unfitting", -1);
    refused("ended-certificate", "/etc/labtls/unfitting.pem, the certificate of site/unfitting, has ended on ");
    crate::world::assert_same(&before, &world.contents());

    certificate(h2, "unfitting", 20);
    let ran = fleet.apply().ends_with(0);
    assert!(ran.said.contains("certificate-ends"), "nobody is warned:\n{}", ran.said);
}

pub fn what_nobody_can_check_is_warned_of(world: &World) {
    let fleet = Fleet::new(world, "unchecked");
    let h2 = world.host("h2");
    certificate(h2, "unchecked", 90);
    fleet.write("frontend/index.html", "the page");
    fleet.site("unchecked", &["h2"], &format!("frontend: {{source: {{path: frontend}}}}\n{}", tls("unchecked")));
    {
        let _gone =
            h2.until_dropped("mv /usr/bin/openssl /usr/bin/openssl.away", "mv /usr/bin/openssl.away /usr/bin/openssl");
        let ran = fleet.deploy().ends_with(0);
        assert!(ran.said.contains("unchecked-certificate"), "nobody is warned:\n{}", ran.said);
    }
    assert_is("the page", asked(h2, "unchecked", "", "/"), "the page");
}

pub fn a_certificate_for_another_name_is_warned_of(world: &World) {
    let fleet = Fleet::new(world, "misnamed");
    let h2 = world.host("h2");
    certificate(h2, "other", 90);
    certificate(h2, "misnamed", 90);
    fleet.write("frontend/index.html", "the page");
    let of = |name: &str| format!("frontend: {{source: {{path: frontend}}}}\n{}", tls(name));
    fleet.site("misnamed", &["h2"], &of("other"));
    fleet.commit();
    let warned = fleet.plan().findings("certificate-names");
    assert!(warned.len() == 1 && warned[0].contains("other.test") && warned[0].contains("misnamed.test"), "{warned:?}");
    fleet.apply().ends_with(0);
    fleet.site("misnamed", &["h2"], &of("misnamed"));
    fleet.commit();
    assert_is("the warnings", fleet.plan().findings("certificate-names"), Vec::<String>::new());
    fleet.apply().ends_with(0);

    // Who answers for its name on 443 is asked, too.
    let text = "server { listen 443 ssl; server_name misnamed.test; ssl_certificate /etc/labtls/other.pem;\n\
                ssl_certificate_key /etc/labtls/other.key; return 200 theirs; }\n";
    h2.write("/etc/nginx/conf.d/a-tls.conf", text);
    let _theirs = h2.until_dropped(
        "nginx -t && systemctl reload nginx.service",
        "rm /etc/nginx/conf.d/a-tls.conf; systemctl reload nginx.service",
    );
    let findings = fleet.plan().findings("site-not-served");
    assert!(findings.len() == 1 && findings[0].contains("/etc/nginx/conf.d/a-tls.conf:1"), "{findings:?}");
    assert!(findings[0].contains("443"), "{findings:?}");
}

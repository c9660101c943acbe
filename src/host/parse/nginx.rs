//! What the probe says of nginx: what it serves, answers in the names of sites, and would read.

use std::collections::BTreeMap;

use super::{ProbeRequest, Sections};
use crate::model::{
    digest::Digest,
    name::SiteName,
    nginx::{Answer, LiveNginx, NginxFiles, Server},
    observation::LiveUnit,
    seen::Seen,
};

pub(super) fn nginx(
    sections: &Sections,
    question: &ProbeRequest,
    units: &BTreeMap<String, Seen<LiveUnit>>,
) -> Seen<LiveNginx> {
    let has_log_folder = match sections.told("nginx") {
        Err(why) => return Seen::Unknown(why),
        Ok("") => return Seen::Absent,
        Ok(said) => !said.contains("no-log-folder"),
    };
    let digest = match sections.told("digest") {
        _ if question.digest_port.is_none() => Seen::Absent,
        // Whatever answers without a digest at its end is not our server; nor is nobody.
        Ok(answer) => answer.lines().last().and_then(|line| line.trim().parse().ok()).map_or(Seen::Absent, Seen::Known),
        Err(why) => Seen::Unknown(why),
    };
    let running = units.get("nginx.service").and_then(Seen::known).is_some_and(LiveUnit::is_active);
    let said = sections.one("sites").unwrap_or_default();
    let (answers, fronts) = (answers(said, question), fronts(said, question));
    let files = sections.one("nginx-files").map(files);
    Seen::Known(LiveNginx { running, digest, answers, fronts, has_log_folder, files })
}

/// Lines `:PORT PORT answered WORD`, or with `refused` or `silent` in the place of the answer.
fn fronts(text: &str, question: &ProbeRequest) -> BTreeMap<u16, Seen<Digest>> {
    let told = |port: u16| {
        let begins = format!(":{port} {port} ");
        text.lines().find_map(|line| line.strip_prefix(&begins)).map(|said| match said.split_once(' ') {
            Some(("answered", word)) => word.trim().parse().map_or(Seen::Absent, Seen::Known),
            _ if matches!(said, "refused" | "other") => Seen::Absent,
            _ => Seen::Unknown(format!("nothing answers there in time ({said})")),
        })
    };
    let untold = || Seen::Unknown("it was not asked in time".to_owned());
    question.fronts.keys().map(|port| (*port, told(*port).unwrap_or_else(untold))).collect()
}

/// Lines `SITE PORT ANSWER`, in the order in which was asked. All have one limit of time: the first that is not told of
/// used it up, and those behind it were not asked.
fn answers(text: &str, question: &ProbeRequest) -> BTreeMap<SiteName, BTreeMap<u16, Answer>> {
    let told: BTreeMap<(&str, u16), Answer> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (site, port, answer) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
            let answer = match answer {
                "own" => Answer::Own,
                "other" => Answer::Other,
                "refused" => Answer::Refused,
                "unasked" => Answer::Unasked,
                _ => Answer::Silent,
            };
            Some(((site, port), answer))
        })
        .collect();
    let mut untold = Answer::Silent;
    let mut answers: BTreeMap<SiteName, BTreeMap<u16, Answer>> = BTreeMap::new();
    for (site, port) in
        question.sites.iter().flat_map(|(site, proof)| proof.ports.iter().map(move |port| (site, *port)))
    {
        let answer = told.get(&(site.as_str(), port)).copied();
        let answer = answer.unwrap_or_else(|| std::mem::replace(&mut untold, Answer::Unasked));
        answers.entry(site.clone()).or_default().insert(port, answer);
    }
    answers
}

/// Lines as `read_nginx` writes them in `nginx.sh`; what is of no known kind is left out.
fn files(text: &str) -> NginxFiles {
    let mut files = NginxFiles::default();
    for line in text.lines() {
        let Some((kind, rest)) = line.split_once(' ') else { continue };
        match kind {
            "broken" => files.broken = files.broken.or_else(|| Some(rest.to_owned())),
            "include" => files.includes.push(rest.to_owned()),
            "conflict" => {
                files.conflicts.extend(rest.split_once(' ').map(|(name, on)| (name.to_owned(), on.to_owned())));
            }
            "server" => files.servers.extend(server(rest)),
            _ => {}
        }
    }
    files
}

/// `FILE:LINE<tab>LISTEN,LISTEN<tab>NAME NAME`.
fn server(text: &str) -> Option<Server> {
    let mut fields = text.split('\t');
    let (at, listens, names) = (fields.next()?, fields.next()?, fields.next()?);
    let (file, line) = at.rsplit_once(':')?;
    let words = |text: &str, by: char| {
        text.split(by).map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    Some(Server {
        file: file.to_owned(),
        line: line.parse().ok()?,
        listens: words(listens, ','),
        names: words(names, ' '),
    })
}

// The routes of sites/app.yaml, by the instance that answers them, in the order they are shown.
const SERVICES = [
  { route: "search", instance: "ai-core", does: "Finds documents and memories" },
  { route: "chat", instance: "ai-core", does: "Rooms with live streams" },
  { route: "gong", instance: "business-tools", does: "Call transcripts and notes" },
  { route: "hubspot", instance: "business-tools", does: "Deals and contacts" },
  { route: "linear", instance: "business-tools", does: "Engineering issues" },
  { route: "asana", instance: "business-tools", does: "Projects and tasks" },
  { route: "github", instance: "data-pipeline", does: "Pull requests" },
  { route: "notion", instance: "data-pipeline", does: "Pages" },
  { route: "slack", instance: "data-pipeline", does: "Channels and threads" },
  { route: "briefing", instance: "control", does: "The day in one page" },
];
const EVERY_MS = 3000;
const GIVE_UP_MS = 2500;
const SHOWN_CHECKS = 30;
const NEW_MS = 12000;

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

function card(service) {
  const title = element("h3", {}, service.route);
  const latency = element("span", { className: "number" });
  title.append(latency);
  const place = element("code", {}, "…");
  const release = element("code", { title: "release" });
  const bars = element("div", { className: "bars", ariaHidden: "true" });
  bars.append(...Array.from({ length: SHOWN_CHECKS }, () => element("i")));
  const root = element("article", { className: "card" },
    title, element("p", {}, service.does), bars, element("div", { className: "facts" }, place, release));
  return { root, latency, place, release, bars };
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(GIVE_UP_MS), cache: "no-store" });
  if (!answer.ok) throw new Error(`answers ${answer.status}`);
  return answer.json();
}

async function check(service) {
  const { view } = service;
  const began = performance.now();
  let health, why;
  try {
    health = await ask(`/api/${service.route}/health`);
    if (health.status !== "ok") why = `says ${health.status}`;
  } catch (error) {
    why = error.name === "TimeoutError" ? "no answer in time" : error.message;
  }
  const took = performance.now() - began;
  service.good = why === undefined;

  const bar = element("i", { className: service.good ? "good" : "bad" });
  if (service.good) bar.style.height = `${Math.min(100, 15 + took / 2)}%`;
  view.bars.firstChild.remove();
  view.bars.append(bar);
  view.root.classList.toggle("good", service.good);
  view.root.classList.toggle("bad", !service.good);
  view.latency.textContent = service.good ? `${Math.round(took)} ms` : "";
  view.place.textContent = service.good ? `${health.instance ?? service.instance}:${health.port}` : why;
  if (!service.good) return;

  const release = health.release ?? "";
  if (service.release !== undefined && service.release !== release) {
    view.root.classList.add("new");
    setTimeout(() => view.root.classList.remove("new"), NEW_MS);
  }
  service.release = release;
  view.release.textContent = release.replace(/^sha256:/, "").slice(0, 8);
}

const SECTIONS = {
  calls: ["Calls", (call) => [call.account, `${call.date}, ${call.minutes} minutes`]],
  issues: ["In progress", (issue) => [issue.title, `${issue.id}, ${issue.assignee}`]],
  threads: ["Threads", (thread) => [thread.topic, `${thread.channel}, ${thread.replies} replies`]],
  memories: ["Remembered", (memory) => [memory.text, memory.key]],
};

async function brief() {
  let page;
  try {
    page = await ask("/api/briefing/briefing");
  } catch {
    return; // its card says so; the last page stays readable
  }
  const articles = Object.entries(SECTIONS).map(([section, [title, lines]]) => {
    const items = (page[section] ?? []).slice(-4).map((item) => {
      const [text, detail] = lines(item);
      return element("li", {}, text, element("small", {}, detail));
    });
    const nothing = page.missing.includes(section) ? "Not answering just now." : "Nothing yet.";
    const body = items.length ? element("ul", {}, ...items) : element("small", {}, nothing);
    return element("article", {}, element("h3", {}, title), body);
  });
  document.querySelector("#briefing").replaceChildren(...articles);
}

async function pass() {
  if (!document.hidden) {
    await Promise.all([...SERVICES.map(check), brief()]);
    const good = SERVICES.filter((service) => service.good).length;
    const summary = document.querySelector("#summary");
    const text = `${good} of ${SERVICES.length} services answer`;
    if (summary.textContent !== text) summary.textContent = text; // spoken only when it changes
    summary.className = good === SERVICES.length ? "good" : "bad";
  }
  setTimeout(pass, EVERY_MS);
}

const main = document.querySelector("#instances");
for (const instance of new Set(SERVICES.map((service) => service.instance))) {
  const here = SERVICES.filter((service) => service.instance === instance);
  for (const service of here) service.view = card(service);
  const cards = element("div", { className: "cards" }, ...here.map((service) => service.view.root));
  main.append(element("section", {}, element("h2", {}, instance), cards));
}
document.querySelector("#build").textContent = new URL(import.meta.url).pathname.split("/").pop();
pass();

// The routes of sites/app.yaml, by the instance that answers them, in the order they are shown.
export const SERVICES = [
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

const GIVE_UP_MS = 2500;

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(GIVE_UP_MS), cache: "no-store" });
  if (!answer.ok) throw new Error(`answers ${answer.status}`);
  return answer.json();
}

// What a service says of itself: { health, why, took }, of which `why` is what is wrong.
export async function check(service) {
  const began = performance.now();
  let health, why;
  try {
    health = await ask(`/api/${service.route}/health`);
    if (health.status !== "ok") why = `says ${health.status}`;
  } catch (error) {
    why = error.name === "TimeoutError" ? "no answer in time" : error.message;
  }
  return { health, why, took: performance.now() - began };
}

// The day in one page; nothing when the service does not answer, which its card says.
export async function briefing() {
  try {
    return await ask("/api/briefing/briefing");
  } catch {
    return undefined;
  }
}

import { useEffect, useState } from "react";

import { Briefing } from "./Briefing.jsx";
import { Card } from "./Card.jsx";
import { SERVICES, briefing, check } from "./services.js";

const EVERY_MS = 3000;
const KEPT_CHECKS = 30;
const INSTANCES = [...new Set(SERVICES.map((service) => service.instance))];
const BUNDLE = new URL(import.meta.url).pathname.split("/").pop();

// Asks every service again and again, but not while nobody looks.
function useChecks() {
  const [checks, setChecks] = useState({});
  const [page, setPage] = useState(undefined);
  useEffect(() => {
    let timer;
    let ended = false;
    const add = (route, result) =>
      setChecks((before) => ({ ...before, [route]: [...(before[route] ?? []), result].slice(-KEPT_CHECKS) }));
    const pass = async () => {
      if (!document.hidden) {
        const services = SERVICES.map(async (service) => {
          const result = await check(service);
          if (!ended) add(service.route, result);
        });
        const today = briefing().then((found) => found && !ended && setPage(found));
        await Promise.all([...services, today]);
      }
      if (!ended) timer = setTimeout(pass, EVERY_MS);
    };
    pass();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, []);
  return { checks, page };
}

function Summary({ checks }) {
  const asked = SERVICES.filter(({ route }) => checks[route]);
  const good = asked.filter(({ route }) => !checks[route].at(-1).why).length;
  const all = asked.length === SERVICES.length;
  const className = all ? (good === SERVICES.length ? "good" : "bad") : "";
  return (
    <p id="summary" role="status" className={className}>
      {all ? `${good} of ${SERVICES.length} services answer` : "Asking every service…"}
    </p>
  );
}

export function App() {
  const { checks, page } = useChecks();
  return (
    <>
      <header>
        <img src="/favicon.svg" alt="" width="36" height="36" />
        <h1>Sophia</h1>
        <Summary checks={checks} />
      </header>
      <main aria-label="Services by instance">
        {INSTANCES.map((instance) => (
          <section key={instance}>
            <h2>{instance}</h2>
            <div className="cards">
              {SERVICES.filter((service) => service.instance === instance).map((service) => (
                <Card key={service.route} service={service} checks={checks[service.route] ?? []} />
              ))}
            </div>
          </section>
        ))}
      </main>
      <Briefing page={page} />
      <footer>
        Asked again every three seconds. Page <code>{BUNDLE}</code>
      </footer>
    </>
  );
}

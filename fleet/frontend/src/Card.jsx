import { useEffect, useRef, useState } from "react";

const SHOWN_CHECKS = 30;
const NEW_MS = 12000;

// Whether the release is another than a moment ago.
function useIsNew(release) {
  const [isNew, setIsNew] = useState(false);
  const before = useRef(undefined);
  useEffect(() => {
    if (release === undefined) return undefined;
    const changed = before.current !== undefined && before.current !== release;
    before.current = release;
    if (!changed) return undefined;
    setIsNew(true);
    const timer = setTimeout(() => setIsNew(false), NEW_MS);
    return () => clearTimeout(timer);
  }, [release]);
  return isNew;
}

function Bars({ checks }) {
  const shown = [...Array(SHOWN_CHECKS).fill(undefined), ...checks].slice(-SHOWN_CHECKS);
  return (
    <div className="bars" aria-hidden="true">
      {shown.map((check, at) => {
        if (!check) return <i key={at} />;
        const height = check.why ? undefined : `${Math.min(100, 15 + check.took / 2)}%`;
        return <i key={at} className={check.why ? "bad" : "good"} style={{ height }} />;
      })}
    </div>
  );
}

// One service, with its newest check last.
export function Card({ service, checks }) {
  const last = checks.at(-1);
  const good = last && !last.why;
  const release = good ? (last.health.release ?? "") : undefined;
  const known = useRef("");
  if (release !== undefined) known.current = release;
  const isNew = useIsNew(release);
  const state = last ? (good ? "good" : "bad") : "";
  const place = good ? `${last.health.instance ?? service.instance}:${last.health.port}` : (last?.why ?? "…");
  return (
    <article className={`card ${state} ${isNew ? "new" : ""}`}>
      <h3>
        {service.route}
        <span className="number">{good ? `${Math.round(last.took)} ms` : ""}</span>
      </h3>
      <p>{service.does}</p>
      <Bars checks={checks} />
      <div className="facts">
        <code>{place}</code>
        <code title="release">{known.current.replace(/^sha256:/, "").slice(0, 8)}</code>
      </div>
    </article>
  );
}

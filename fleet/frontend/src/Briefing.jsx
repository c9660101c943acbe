const SECTIONS = {
  calls: ["Calls", (call) => [call.account, `${call.date}, ${call.minutes} minutes`]],
  issues: ["In progress", (issue) => [issue.title, `${issue.id}, ${issue.assignee}`]],
  threads: ["Threads", (thread) => [thread.topic, `${thread.channel}, ${thread.replies} replies`]],
  memories: ["Remembered", (memory) => [memory.text, memory.key]],
};

// The last page stays readable while the service does not answer.
export function Briefing({ page }) {
  return (
    <section aria-labelledby="today">
      <h2 id="today">Today</h2>
      <div id="briefing">
        {page &&
          Object.entries(SECTIONS).map(([section, [title, lines]]) => {
            const items = (page[section] ?? []).slice(-4).map(lines);
            const nothing = page.missing.includes(section) ? "Not answering just now." : "Nothing yet.";
            return (
              <article key={section}>
                <h3>{title}</h3>
                {items.length === 0 && <small>{nothing}</small>}
                <ul>
                  {items.map(([text, detail], at) => (
                    <li key={at}>
                      {text}
                      <small>{detail}</small>
                    </li>
                  ))}
                </ul>
              </article>
            );
          })}
      </div>
    </section>
  );
}

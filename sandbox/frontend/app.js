
// What every release shows: who is signed in and their projects. Text goes into the page as text, never as markup.
const config = JSON.parse(document.getElementById("config").textContent);
const sections = [];

async function api(method, path, body) {
  const headers = { Accept: "application/json" };
  if (config.apiKey) headers.apikey = config.apiKey;
  if (session()) headers.Authorization = `Bearer ${session()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(config.apiUrl + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Error("The API cannot be reached.");
  }
  const said = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(said?.error ?? said?.message ?? `The API answered ${answer.status}.`);
  return said;
}

function session() {
  return sessionStorage.getItem("token");
}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

function notice(text) {
  const place = document.getElementById("notice");
  place.textContent = text;
  place.hidden = !text;
}

// Does something and shows what is new; what went wrong is said on the page.
async function attempt(work) {
  notice("");
  try {
    await work();
    await show();
  } catch (problem) {
    notice(problem.message);
  }
}

function button(text, work, kind = "quiet") {
  return element("button", { type: "button", class: kind, onclick: () => attempt(work) }, text);
}

// A one-line form: each field is [name, label].
function form(label, fields, submit) {
  const inputs = fields.map(([name, text]) => element("input", { name, placeholder: text, "aria-label": text, required: true }));
  const made = element("form", { class: "line" }, ...inputs, element("button", {}, label));
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => submit(Object.fromEntries(new FormData(made))));
  });
  return made;
}

function section(title, ...children) {
  return element("section", {}, element("h2", {}, title), ...children);
}

function list(rows, row, empty) {
  return rows.length ? element("ul", {}, ...rows.map(row)) : element("p", { class: "empty" }, empty);
}

function item(title, detail, ...actions) {
  const text = element("div", {}, element("strong", {}, title), element("span", {}, detail ?? ""));
  return element("li", {}, text, ...actions);
}

sections.push(async () => {
  const projects = await api("GET", "/api/projects");
  const row = (project) => item(project.name, project.description, button("Delete", () => api("DELETE", `/api/projects/${project.id}`)));
  return section(
    "Projects",
    list(projects, row, "No projects yet."),
    form("Create", [["name", "New project"]], (fields) => api("POST", "/api/projects", fields)),
  );
});

async function show() {
  const page = document.getElementById("app");
  if (!session()) {
    page.replaceChildren(element("p", { class: "empty" }, "Sign in with an access token to see your work."));
    return;
  }
  page.replaceChildren(...(await Promise.all(sections.map((make) => make()))));
}

function start() {
  sessionStorage.removeItem("again");
  document.getElementById("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    const token = new FormData(event.target).get("token").trim();
    if (token) sessionStorage.setItem("token", token);
    else sessionStorage.removeItem("token");
    event.target.reset();
    attempt(async () => {});
  });
  attempt(async () => {});
}

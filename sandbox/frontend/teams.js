
// Since release 2: teams, invitations, what others share.
async function team(one) {
  const members = await api("GET", `/api/teams/${one.id}/members`);
  const count = members.length === 1 ? "1 member" : `${members.length} members`;
  const admin = one.role === "owner" || one.role === "admin";
  const invite = async ({ email }) => {
    const { token } = await api("POST", `/api/teams/${one.id}/invitations`, { email, role: "viewer" });
    prompt(`The invitation for ${email}; it is shown this once:`, token);
  };
  return element(
    "li",
    {},
    element("div", {}, element("strong", {}, one.name), element("span", {}, `${one.role} · ${count} · ${one.visibility}`)),
    admin ? form("Invite", [["email", "Address"]], invite) : null,
  );
}

const slug = (name) => name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "");

sections.push(async () => {
  const mine = await api("GET", "/api/teams");
  const rows = await Promise.all(mine.map(team));
  return section(
    "Teams",
    list(rows, (row) => row, "No teams yet."),
    form("Create", [["name", "New team"]], ({ name }) => api("POST", "/api/teams", { name, slug: slug(name) })),
    form("Join", [["token", "Invitation"]], (fields) => api("POST", "/api/invitations/accept", fields)),
  );
});

sections.push(async () => {
  const shared = await api("GET", "/api/shared/projects");
  return section("Shared with me", list(shared, (project) => item(project.name, project.description), "Nothing yet."));
});

sections.push(async () => {
  const found = await api("GET", "/api/teams/discover");
  const row = (one) => item(one.name, one.description, element("span", { class: "count" }, `${one.members}`));
  return section("Discover", list(found, row, "No team can be found at the moment."));
});

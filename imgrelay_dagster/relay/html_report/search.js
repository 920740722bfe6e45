
const field = document.getElementById("search");
const rows = [...document.querySelectorAll("#failed tr")].slice(1);
field.hidden = rows.length < 2;
field.addEventListener("input", () => {
  const wanted = field.value.toLowerCase();
  for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
});

"use strict";
{
  const body = document.querySelector(".candidates tbody");
  if (body) {
    const rows = [...body.rows];
    const words = document.getElementById("words");
    const least = document.getElementById("least");
    const only = document.getElementById("only");
    const shown = document.getElementById("shown");
    const filter = () => {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const row of rows) {
        const fits = wanted.every((word) => row.dataset.search.includes(word))
          && Number(row.dataset.probability) >= Number(least.value)
          && (!only.checked || row.dataset.makeable === "1");
        row.hidden = !fits;
        count += fits;
      }
      shown.textContent = `${count} of ${rows.length} shown`;
      document.getElementById("bound").textContent = Number(least.value).toFixed(2);
    };
    for (const control of [words, least, only]) control.addEventListener("input", filter);
    for (const button of document.querySelectorAll(".candidates th button")) {
      button.addEventListener("click", () => {
        const head = button.parentElement;
        const up = head.getAttribute("aria-sort") === "descending"
          || (!head.hasAttribute("aria-sort") && button.dataset.first === "up");
        for (const other of document.querySelectorAll(".candidates th")) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const value = (row) => Number(row.dataset[button.dataset.key]);
        const rank = (row) => Number(row.dataset.rank);
        rows.sort((a, b) => (up ? value(a) - value(b) : value(b) - value(a)) || rank(a) - rank(b));
        body.append(...rows);
      });
    }
    filter();
    document.querySelector(".controls").hidden = false;
  }
}

"use strict";
{
  const body = document.querySelector(".candidates tbody");
  if (body) {
    const rows = [...body.rows];
    const [words, least, most, only, many, shown] = ["words", "least", "most", "only", "many", "shown"].map((id) => document.getElementById(id));
    const filter = () => {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      let fitting = 0;
      for (const row of rows) {
        const fits = wanted.every((word) => row.dataset.search.includes(word))
          && Number(row.dataset.probability) >= Number(least.value)
          && Number(row.dataset.similarity) <= Number(most.value)
          && (!only.checked || row.dataset.makeable === "1");
        fitting += fits;
        row.hidden = !fits || fitting > Number(many.value);
      }
      shown.textContent = `${Math.min(fitting, Number(many.value))} of ${fitting} shown`;
      document.getElementById("bound").textContent = Number(least.value).toFixed(2);
      document.getElementById("alike").textContent = Number(most.value).toFixed(2);
    };
    for (const control of [words, least, most, only, many]) control.addEventListener("input", filter);
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
        filter();
      });
    }
    filter();
    document.querySelector(".controls").hidden = false;
  }
}

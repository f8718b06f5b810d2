// Shows the reports that hold every word searched for; without it all of them stand on the page.
(() => {
  'use strict';
  const field = document.getElementById('words'), told = document.getElementById('told');
  const entries = [...document.querySelectorAll('.entry')];
  const texts = entries.map((entry) => entry.textContent.toLowerCase());
  function search() {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    entries.forEach((entry, i) => {
      entry.hidden = !words.every((word) => texts[i].includes(word));
      shown += !entry.hidden;
    });
    told.textContent = words.length ? `${shown} of ${entries.length} reports` : '';
  }
  field.addEventListener('input', search);
  document.getElementById('search').hidden = false;
  search();
})();

'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));
  const make = (name, type, text) => {
    const node = document.createElement(name);
    if (type) node.className = type;
    if (text !== undefined) node.textContent = text;
    return node;
  };

  // In place of an image that the page does not have stands its key.
  const show = (image) => {
    const source = data.images[Number(image.dataset.image)];
    if (source) image.src = source;
    else image.replaceWith(make('span', 'no-image', image.closest('figure').title));
  };
  all('img[data-image]').forEach(show);

  const figure = (item) => {
    const node = make('figure', item.r ? 'item' : 'item wrong');
    node.title = item.k;
    const image = make('img');
    image.alt = 'image of ' + item.t;
    image.dataset.image = 'i' in item ? item.i : -1;
    node.append(image);
    const caption = make('figcaption');
    caption.append(make('bdi', '', item.p), ' ', make('span', 'score', item.s));
    if (!item.r) {
      const truth = make('span', 'truth', 'is ');
      truth.append(make('bdi', '', item.t));
      caption.append(truth);
    }
    node.append(caption);
    show(image);
    return node;
  };

  const learner = document.getElementById('learner');
  if (learner)
    learner.addEventListener('change', () => {
      for (const panel of all('.panel')) panel.hidden = panel.dataset.panel !== learner.value;
    });

  const onChoice = (node, act) => {
    node.addEventListener('click', act);
    node.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' && event.key !== ' ') return;
      event.preventDefault();
      act();
    });
  };
  for (const panel of all('.panel')) {
    const place = panel.querySelector('.cell-images');
    const cells = data.cells[panel.dataset.panel] || {};
    for (const cell of all('[data-cell]', panel))
      onChoice(cell, () => {
        all('.chosen', panel).forEach((other) => other.classList.remove('chosen'));
        cell.classList.add('chosen');
        const items = (cells[cell.dataset.cell] || []).map((i) => data.items[i]);
        const gallery = make('div', 'gallery');
        gallery.append(...items.map(figure));
        const title = items.length === 0 ? 'No inputs of this cell are kept in the page.'
          : items[0].r ? items[0].t + ', found' : items[0].t + ', taken for ' + items[0].p;
        place.replaceChildren(make('h5', '', title), gallery);
      });
    const byRow = panel.querySelector('input.by-row');
    if (byRow) byRow.addEventListener('change', () => panel.classList.toggle('by-row', byRow.checked));
  }

  const card = document.getElementById('card');
  for (const chart of all('svg.scatter')) {
    const points = all('[data-point]', chart);
    let at = -1;
    const choose = (point) => {
      at = points.indexOf(point);
      all('.point.chosen').forEach((other) => other.classList.remove('chosen'));
      point.classList.add('chosen');
      card.replaceChildren(figure(data.items[data.points[Number(point.dataset.point)]]));
    };
    for (const point of points) {
      point.addEventListener('pointerenter', () => choose(point));
      point.addEventListener('click', () => choose(point));
    }
    // One stop for the tab key: the arrow keys go from point to point.
    chart.tabIndex = 0;
    chart.addEventListener('keydown', (event) => {
      const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
      if (step === undefined || points.length === 0) return;
      event.preventDefault();
      const from = at < 0 && step < 0 ? 0 : at;
      choose(points[(from + step + points.length) % points.length]);
    });
  }

  // Tables by the column whose head is pressed: numbers by size, words by the alphabet.
  for (const table of all('table.sortable'))
    all('thead th', table).forEach((head, column) => {
      const button = make('button', '');
      button.type = 'button';
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener('click', () => {
        const down = head.getAttribute('aria-sort') !== 'descending';
        all('thead th', table).forEach((other) => other.removeAttribute('aria-sort'));
        head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
        const text = (row) => row.children[column].textContent;
        const size = (row) => { const v = parseFloat(text(row)); return Number.isNaN(v) ? -Infinity : v; };
        const words = all('tbody tr', table).every((row) => size(row) === -Infinity);
        const order = all('tbody tr', table).sort((a, b) =>
          (words ? text(b).localeCompare(text(a)) : size(b) - size(a)) * (down ? 1 : -1));
        table.tBodies[0].append(...order);
      });
    });

  // On paper nothing can be unfolded.
  let unfolded = [];
  addEventListener('beforeprint', () => {
    unfolded = all('details:not([open])');
    for (const part of unfolded) part.open = true;
  });
  addEventListener('afterprint', () => {
    for (const part of unfolded) part.open = false;
  });
})();

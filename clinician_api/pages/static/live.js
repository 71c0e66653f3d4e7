// Keeps the worklist current: one event stream for each browser, shared by its tabs. The stream
// carries a version number and signs of life; what is shown is fetched anew each time.
'use strict';
(() => {
  const STALE_MS = 10000; // two signs of life missed: the page says so within twelve seconds
  const AGAIN_MS = 60000;
  const RETRY_MS = 2000;
  const TIMEOUT_MS = 8000;
  const RELEASE_MS = 800;
  const DEAF_MS = 180000; // older than that, control readings do not come through (A10)

  const rows = document.getElementById('rows');
  const badge = document.getElementById('badge');
  const fresh = document.getElementById('fresh');
  const announce = document.getElementById('announce');
  const shown = document.getElementById('control');
  const deaf = document.getElementById('deaf');
  const tabs = new BroadcastChannel('hemvital-worklist');

  let lastSign = Date.now();
  let lastFetch = Date.now();
  let lastActive = 0;
  let waiting = null; // a newer list, held back while somebody points at the old one
  let told = new Set(alertKeys(rows));
  let isFetching = false;
  let isWanted = false;
  let isOut = false;
  let control = null; // the control reading that came through last: its time, and since when

  function say(state, text) {
    if (badge.dataset.state !== state) {
      badge.dataset.state = state;
      badge.setAttribute('role', state === 'live' ? 'status' : 'alert');
      badge.lastElementChild.textContent = text;
    }
  }

  function signOfLife() {
    lastSign = Date.now();
    if (!isOut) say('live', badge.dataset.live);
  }

  // That the server lives says nothing of broker, ingest and clock: the control reading does. Its
  // age is counted here, on a clock that nobody sets.
  function controlled(data) {
    const [at, age] = data.split(' ');
    if (!at) return;
    const time = new Date(at).toLocaleTimeString(document.documentElement.lang, {
      hour: '2-digit', minute: '2-digit', timeZone: deaf.dataset.zone,
    });
    control = {time, since: performance.now() - Number(age) * 1000};
  }

  function tellControl() {
    if (!control || isOut) return;
    const isDeaf = performance.now() - control.since > DEAF_MS;
    if (isDeaf && deaf.hidden) {
      deaf.lastElementChild.textContent = deaf.dataset.text.replace('{time}', control.time);
    }
    deaf.hidden = !isDeaf;
    // Beside the badge, which is read aloud at each change: the time is not.
    shown.textContent = isDeaf ? '' : shown.dataset.text.replace('{time}', control.time);
  }

  function alertKeys(root) {
    return Array.from(root.querySelectorAll('[data-key]'), (row) =>
      `${row.dataset.key} ${row.dataset.priority}`);
  }

  function isHeld() {
    return rows.matches(':hover') || rows.contains(document.activeElement);
  }

  // Told once, when the news comes: also to who keeps the old list under the pointer.
  function tell(keys) {
    const added = keys.filter((key) => !told.has(key));
    told = new Set(keys);
    if (added.some((key) => key.endsWith(' red'))) announce.textContent = announce.dataset.red;
    else if (added.length > 0) announce.textContent = announce.dataset.alerts;
  }

  function show(next) {
    rows.replaceChildren(...next.childNodes);
    waiting = null;
    fresh.hidden = true;
  }

  function offer(next) {
    const before = alertKeys(rows);
    const after = alertKeys(next);
    tell(after);
    if (!isHeld() || before.join() === after.join() && !rows.contains(document.activeElement)) {
      show(next);
      return;
    }
    const added = after.filter((key) => !before.includes(key)).length;
    const words = added > 1 ? fresh.dataset.new : added === 1 ? fresh.dataset.one : fresh.dataset.changed;
    waiting = next;
    fresh.textContent = words.replace('{n}', String(added));
    fresh.hidden = false;
  }

  async function refresh() {
    if (isOut) return;
    if (isFetching) {
      isWanted = true;
      return;
    }
    isFetching = true;
    isWanted = false;
    const isActive = lastActive > lastFetch;
    lastFetch = Date.now();
    try {
      const answer = await fetch(`/worklist/rows?view=${encodeURIComponent(rows.dataset.view)}`, {
        headers: {'X-Active': isActive ? '1' : '0'},
        cache: 'no-store',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (answer.status === 401) {
        isOut = true;
        rows.replaceChildren(); // nobody is signed in: what was shown is not for whoever looks
        say('out', badge.dataset.out);
        document.dispatchEvent(new Event('signed-out'));
        return;
      }
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
        offer(page.body);
      }
    } catch {
      // The badge tells, once signs of life stay away; the next sign or minute tries again.
    } finally {
      isFetching = false;
      if (isWanted) refresh();
    }
  }

  function heard({what, data}) {
    signOfLife();
    if (what === 'worklist') refresh();
    else controlled(data);
    tellControl();
  }

  function listen() {
    return new Promise(() => { // never resolves: this tab keeps the lock until it closes
      const open = () => {
        const stream = new EventSource('/worklist/events');
        const pass = (what) => {
          heard(what);
          tabs.postMessage(what);
        };
        stream.addEventListener('worklist', () => pass({what: 'worklist'}));
        stream.addEventListener('beat', (event) => pass({what: 'beat', data: event.data}));
        stream.onerror = () => {
          if (stream.readyState === EventSource.CLOSED) setTimeout(open, RETRY_MS);
        };
      };
      open();
    });
  }

  tabs.onmessage = (event) => heard(event.data);
  navigator.locks.request('hemvital-worklist', listen);

  for (const kind of ['pointermove', 'pointerdown', 'keydown', 'scroll', 'touchstart']) {
    document.addEventListener(kind, () => { lastActive = Date.now(); }, {passive: true});
  }
  fresh.addEventListener('click', () => { if (waiting) show(waiting); });
  // Not at once: whoever leaves the list for the button must still find it there.
  const release = () => setTimeout(() => {
    if (waiting && !isHeld() && !fresh.matches(':hover, :focus')) show(waiting);
  }, RELEASE_MS);
  rows.addEventListener('pointerleave', release);
  fresh.addEventListener('pointerleave', release);
  rows.addEventListener('focusout', release);
  fresh.addEventListener('focusout', release);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
  document.addEventListener('signed-in', () => { isOut = false; refresh(); });
  setInterval(() => {
    if (!isOut && Date.now() - lastSign > STALE_MS) say('stale', badge.dataset.stale);
    if (Date.now() - lastFetch > AGAIN_MS) refresh();
    tellControl();
  }, 1000);
})();

// Warns two minutes before the session ends, and then hides what is on the page without losing what
// somebody has written: nothing of it is stored anywhere.
'use strict';
(() => {
  const WARN_S = 120;
  const LOOK_MS = 30000;
  const TIMEOUT_MS = 8000;

  const page = document.getElementById('page');
  const ending = document.getElementById('ending');
  const ended = document.getElementById('ended');
  const text = ending.firstElementChild;

  let endsAt = null; // on the clock that nobody sets

  async function ask(method) {
    const answer = await fetch('/session', {
      method, cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (answer.status === 401) return null;
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  function show(isOut) {
    if (ended.hidden === !isOut) return;
    ended.hidden = !isOut;
    page.hidden = isOut;
    if (isOut) ended.querySelector('a').focus();
  }

  function take(session) {
    if (session === null) {
      ending.hidden = true;
      show(true);
      return;
    }
    if (session.user !== page.dataset.user) {
      location.assign('/'); // somebody else is signed in here now: this page was not theirs
      return;
    }
    endsAt = performance.now() + session.left_s * 1000;
    tell();
  }

  function tell() {
    const left = (endsAt - performance.now()) / 1000;
    ending.hidden = left > WARN_S || !ended.hidden;
    const minutes = Math.ceil(left / 60);
    const words = minutes > 1 ? text.dataset.text.replace('{n}', String(minutes)) : text.dataset.last;
    if (text.textContent !== words) text.textContent = words;
    if (left < 0 && ended.hidden) look();
  }

  // A server that cannot be reached ends no session: the badge tells of that.
  const look = () => ask('GET').then(take).catch(() => {});

  ending.querySelector('button').addEventListener('click', () => ask('POST').then(take).catch(() => {}));
  ended.querySelector('button').addEventListener('click', () => ask('GET').then((session) => {
    take(session);
    if (session !== null) {
      show(false);
      document.dispatchEvent(new Event('signed-in'));
    }
  }).catch(() => {}));
  document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
  document.addEventListener('signed-out', () => take(null));
  setInterval(look, LOOK_MS);
  setInterval(() => { if (endsAt !== null) tell(); }, 1000);
  look();
})();

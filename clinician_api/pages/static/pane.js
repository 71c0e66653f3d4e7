// The chosen alert beside the list: its forms are sent from here, and the answer takes its place.
// Without this script each link opens a page and each form is answered by one.
'use strict';
(() => {
  const pane = document.getElementById('pane');
  const isBeside = 'beside' in pane.dataset;
  const WIDE = '(min-width: 1181px)';
  const TIMEOUT_MS = 8000;
  const KEY_REST_MS = 800; // no key acts on what has only just come under it

  let shownAt = 0;

  function isHere() {
    return !isBeside || matchMedia(WIDE).matches;
  }

  async function ask(address, options) {
    const answer = await fetch(address, {
      ...options,
      headers: {'X-Fragment': '1'},
      cache: 'no-store',
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (answer.status === 401) {
      location.assign('/sign-in');
      return;
    }
    if (!answer.ok && answer.status !== 409) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    pane.replaceChildren(...page.body.childNodes);
    shownAt = Date.now();
    pane.querySelector('[role=alert], #who')?.focus();
    lapse();
  }

  // What can no longer be undone is not offered.
  function lapse() {
    const undo = pane.querySelector('[data-undo]');
    if (undo) setTimeout(() => undo.remove(), Number(undo.dataset.undo) * 1000);
  }

  document.addEventListener('click', (event) => {
    const phrase = event.target.closest('[data-phrase]');
    if (phrase) {
      const note = document.getElementById(phrase.dataset.phrase);
      note.value = note.value ? `${note.value} ${phrase.textContent}` : phrase.textContent;
      note.focus();
      return;
    }
    const link = event.target.closest('a[data-open]');
    if (!link || !isHere() || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    ask(link.href, {}).catch(() => location.assign(link.href));
  });

  document.addEventListener('submit', (event) => {
    const form = event.target;
    const isOurs = pane.contains(form) || 'open' in form.dataset;
    if (!isOurs || !isHere()) return;
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form));
    // Sent again by the browser itself it is the same action: its id goes with the form.
    ask(form.action, {method: 'POST', body}).catch(() => form.submit());
  });

  pane.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || Date.now() - shownAt < KEY_REST_MS) return;
    if (event.target.matches('input, textarea, select')) return;
    const button = pane.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (button) {
      event.preventDefault();
      button.click();
      button.focus();
    }
  });

  lapse();
})();

// What the code of a case has besides `event` and `step`: marks that the driver of the case sees, as both run in one isolate.

import { render } from './render.js';

const all = new Map();

export const marksOf = (id) => all.get(id) ?? [];

export function kit(id) {
  const marks = marksOf(id);
  all.set(id, marks);
  return {
    mark: (text) => marks.push(text),
    // How often this was marked, this time included: 1, 2, 3, …
    count: (text) => {
      marks.push(text);
      return marks.filter((mark) => mark === text).length;
    },
    marks,
    // A value as JSON, without a loss.
    shown: (value) => render(value),
  };
}

export const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

// All cases, by name. The file a case is in is its subject.

import children from './children.js';
import control from './control.js';
import crashes from './crashes.js';
import creation from './creation.js';
import errors from './errors.js';
import events from './events.js';
import replays from './replays.js';
import restarts from './restarts.js';
import retries from './retries.js';
import rollbacks from './rollbacks.js';
import sleeps from './sleeps.js';
import steps from './steps.js';
import subscriptions from './subscriptions.js';
import validation from './validation.js';
import values from './values.js';

const subjects = {
  steps,
  retries,
  errors,
  validation,
  values,
  sleeps,
  events,
  control,
  restarts,
  creation,
  subscriptions,
  rollbacks,
  replays,
  children,
  crashes,
};

export const all = {};
for (const [subject, cases] of Object.entries(subjects)) {
  for (const [name, one] of Object.entries(cases)) {
    if (name in all || name.includes('_')) throw new Error(`the name ${name} cannot be that of a case`);
    all[name] = { ...one, subject };
  }
}

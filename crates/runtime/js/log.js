// `console.*` and unhandled rejections of runs become log messages; elsewhere they go where they always went.

import { addGlobalListener, ErrorRef, isArray, slice, stringify, text } from './primordials.js';
import { current } from './scope.js';

const LEVELS = { log: 'info', info: 'info', debug: 'debug', trace: 'debug', warn: 'warn', error: 'error' };
const LONGEST = 16_384;

function render(value) {
  if (typeof value === 'string') return text(value);
  try {
    if (value instanceof ErrorRef) return text(value.stack ?? value);
    if (typeof value === 'object' && value !== null) return renderObject(value);
    return text(value);
  } catch {
    return text(value);
  }
}

const renderObject = (value) =>
  stringify(value, (_, item) => (typeof item === 'bigint' ? `${item}n` : item), isArray(value) ? undefined : 1)
    ?.replace(/\n\s*/g, ' ') ?? text(value);

function logTo(scope, level, values) {
  let line = '';
  for (let i = 0; i < values.length && line.length <= LONGEST; i++) line += (i === 0 ? '' : ' ') + render(values[i]);
  if (line.length > LONGEST) line = `${text(slice(line, 0, LONGEST))}…`;
  scope.run.log(scope.call, level, line);
}

const inRun = () => {
  const scope = current();
  return scope !== undefined && !scope.run.ended ? scope : undefined;
};

for (const method of ['log', 'info', 'debug', 'trace', 'warn', 'error']) {
  const original = console[method].bind(console);
  console[method] = (...values) => {
    const scope = inRun();
    if (scope === undefined) original(...values);
    else logTo(scope, LEVELS[method], values);
  };
}

const report = console.error;

addGlobalListener('unhandledrejection', (event) => {
  report('Unhandled promise rejection:', event.reason);
});

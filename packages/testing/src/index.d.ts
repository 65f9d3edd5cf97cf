// Tests of Cloudflare Workflows that run on Cairn. The names are those of `cloudflare:test` where it has one.

/** Milliseconds, or a number and a unit: `"90 seconds"`, `"1 hour"`, `"30 days"`. */
export type Duration = number | string;

export type InstanceStatusWord =
  | "queued"
  | "running"
  | "paused"
  | "errored"
  | "terminated"
  | "complete"
  | "waiting"
  | "waitingForPause"
  | "rollingBack";

/** A step, by its name; `index` is 1 for the first step of that name, and 1 when left out. */
export interface StepSelector {
  name: string;
  index?: number;
}

/** What is put in place of what an instance would do or wait for. */
export interface WorkflowInstanceModifier {
  /** `step.sleep` and `step.sleepUntil` end at once: these, or all. */
  disableSleeps(steps?: StepSelector[]): Promise<void>;
  /** Retries come without delay: those of these steps, or of all. */
  disableRetryDelays(steps?: StepSelector[]): Promise<void>;
  /** The step has this result, and its callback is not called. Once for a step. */
  mockStepResult(step: StepSelector, stepResult: unknown): Promise<void>;
  /** The next `times` attempts of the step fail with this error, or all of them. Its callback is not called for them. */
  mockStepError(step: StepSelector, error: Error, times?: number): Promise<void>;
  /** The next `times` attempts of the step time out at once, or all of them. Its callback is not called for them. */
  forceStepTimeout(step: StepSelector, times?: number): Promise<void>;
  /** An event that is there when it is waited for. Real events of its type are ignored. */
  mockEvent(event: { type: string; payload?: unknown }): Promise<void>;
  /** A `step.waitForEvent` times out at once. */
  forceEventTimeout(step: StepSelector): Promise<void>;
}

export type ModifierFunction = (modifier: WorkflowInstanceModifier) => void | Promise<void>;

export interface WaitOptions {
  /** Milliseconds after which the wait is given up; 60 000 when left out. */
  timeout?: number;
}

/** Looks into one instance, which need not exist yet. */
export interface WorkflowInstanceIntrospector extends AsyncDisposable {
  /** The id of the instance. */
  readonly id: string;
  /** Modifies the instance: best before it is created, so that it is so from the beginning. */
  modify(fn: ModifierFunction): Promise<WorkflowInstanceIntrospector>;
  /**
   * Waits until a step has ended, and gives its result; of `step.waitForEvent` the event, of a sleep undefined.
   * Rejects with the step's error when it failed, and when the instance ends without the step.
   */
  waitForStepResult<T = unknown>(step: StepSelector, options?: WaitOptions): Promise<T>;
  /** Waits until the instance has a status. Rejects when it ends with another one. */
  waitForStatus(status: InstanceStatusWord | { status: InstanceStatusWord }, options?: WaitOptions): Promise<void>;
  /** What `run()` returned. Rejects unless the instance is complete. */
  getOutput<T = unknown>(): Promise<T>;
  /** What `run()` threw. Rejects unless the instance is errored. */
  getError(): Promise<{ name: string; message: string }>;
  /** The instance itself. */
  get(): Promise<WorkflowInstance>;
  /** Ends waits, forgets the modifiers and deletes the instance. */
  dispose: () => Promise<void>;
}

/** Looks into all instances of a workflow that are created while it lasts. */
export interface WorkflowIntrospector extends AsyncDisposable {
  /** Modifies all of them: those to come, and those that are there. */
  modifyAll(fn: ModifierFunction): Promise<void>;
  /** Those created so far, in order. */
  get(): Promise<WorkflowInstanceIntrospector[]>;
  /** Ends the session and deletes its instances. */
  dispose: () => Promise<void>;
}

export interface InstanceStatus<T = unknown> {
  status: InstanceStatusWord;
  error?: { name: string; message: string };
  output?: T;
}

/** An instance, as a workflow binding gives it. */
export interface WorkflowInstance {
  readonly id: string;
  status(): Promise<InstanceStatus>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  terminate(options?: { rollback?: boolean }): Promise<void>;
  restart(options?: { from?: { name: string; count?: number; type?: "do" | "sleep" | "waitForEvent" } }): Promise<void>;
  /** The payload travels as JSON; what JSON cannot hold, `mockEvent` can. */
  sendEvent(event: { type: string; payload?: unknown }): Promise<void>;
}

/** A workflow, as a binding to it would be in a Worker. Parameters travel as JSON. */
export interface Workflow<Params = unknown> {
  readonly name: string;
  create(options?: { id?: string; params?: Params }): Promise<WorkflowInstance>;
  createBatch(batch: { id?: string; params?: Params }[]): Promise<WorkflowInstance[]>;
  get(id: string): Promise<WorkflowInstance>;
}

/** The clock of the server: real time, put forward by tests. */
export interface Clock {
  now(): Promise<Date>;
  /** Puts it forward. Sleeps, retries, timeouts and schedules that are due by then come at once. Gives the new time. */
  advance(duration: Duration): Promise<Date>;
}

/** A server to test with. */
export interface Cairn extends AsyncDisposable {
  /** Where it listens. */
  readonly url: string;
  readonly clock: Clock;
  /** A workflow by its name in the configuration. */
  workflow<Params = unknown>(name: string): Workflow<Params>;
  /** Sends a request to a Worker, by its name in the configuration and a path: `fetch("shop", "/orders")`. */
  fetch(worker: string, path: string, init?: RequestInit): Promise<Response>;
  introspectWorkflowInstance(workflow: string, id: string): Promise<WorkflowInstanceIntrospector>;
  introspectWorkflow(workflow: string): Promise<WorkflowIntrospector>;
  /** Stops a server that `startCairn` has started; a server that ran before goes on. */
  stop: () => Promise<void>;
}

export interface ConnectOptions {
  /** `http://127.0.0.1:8787` when left out. */
  url?: string | URL;
  /** `local` when left out. */
  account?: string;
  token?: string;
}

export interface StartOptions {
  /** The cairn program; `CAIRN_BIN` or `cairn` on the PATH when left out. */
  bin?: string;
  /** Where it keeps its data; a temporary folder, removed at the end, when left out. */
  dataDir?: string;
  /** Further arguments of `cairn dev`. */
  args?: string[];
  /** Further environment variables. */
  env?: Record<string, string>;
  /** Is given what the server says, as it says it. */
  onLog?: (text: string) => void;
  /** Milliseconds the server may take to start; 120 000 when left out. */
  timeout?: number;
}

/** A request that the server did not carry out. */
export class CairnError extends Error {
  readonly name: "CairnError";
  /** The number of the error in the API's table. */
  readonly code: number;
  /** The HTTP status. */
  readonly status: number;
}

/** A server that runs already, such as a `cairn dev` in another terminal. */
export function connect(options?: ConnectOptions): Cairn;

/** Starts `cairn dev` for a project on a free port, with data of its own. Stop it at the end. */
export function startCairn(project: string | URL, options?: StartOptions): Promise<Cairn>;

/** Introspects one instance, which need not exist yet. */
export function introspectWorkflowInstance(workflow: Workflow, id: string): Promise<WorkflowInstanceIntrospector>;

/** Introspects all instances of a workflow that are created from now on. */
export function introspectWorkflow(workflow: Workflow): Promise<WorkflowIntrospector>;

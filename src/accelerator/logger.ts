/**
 * A logger that knows ranks: by default only the main process prints.
 *
 * @module
 */
import { type CallSite, userCallSite } from "../core/call_site.ts";
import { env } from "../core/env.ts";

const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** How important a message is. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** One message. */
export interface LogRecord {
  /** When it was logged. */
  readonly time: Date;
  /** How important it is. */
  readonly level: LogLevel;
  /** Of the logger. */
  readonly name: string;
  /** The process that logged it. */
  readonly rank: number;
  /** With the rank in front. */
  readonly message: string;
  /** The line that logged it. */
  readonly site: CallSite | undefined;
}

/** Options of `getLogger`. */
export interface LoggerOptions {
  /** Least level that is logged. Default: ACCELERATE_LOG_LEVEL, else "info". */
  level?: LogLevel;
  /** What is done with a message. Default: a line on stderr. */
  write?: (record: LogRecord) => void;
}

/** Options of one message. */
export interface LogOptions {
  /** Default true: only the main process logs it. */
  mainProcessOnly?: boolean;
  /** The ranks log one after the other; await the call, and make it on all of them. It goes before `mainProcessOnly`. Default false. */
  inOrder?: boolean;
}

/** What a logger knows of the job. */
export interface LoggerContext {
  readonly rank: number;
  readonly worldSize: number;
  /** Resolves when every rank has called it. */
  readonly barrier: () => Promise<void>;
}

function checkLevel(level: string, origin: string): LogLevel {
  const found = LEVELS.find((known) => known === level.toLowerCase());
  if (found !== undefined) return found;
  throw new RangeError(`Cannot log at ${origin} "${level}": levels are ${LEVELS.join(", ")}`);
}

/** `2026-01-31 12:00:00 INFO train [RANK 0] message (train.ts:12 main)` */
function formatRecord({ time, level, name, message, site }: LogRecord): string {
  const at = time.toISOString().slice(0, 19).replace("T", " ");
  const file = site?.file.slice(site.file.lastIndexOf("/") + 1);
  const where = site === undefined ? "" : ` (${file}:${site.line}${site.function === "" ? "" : ` ${site.function}`})`;
  return `${at} ${level.toUpperCase()} ${name} ${message}${where}`;
}

/** Logs messages of one name. */
export class Logger {
  /** Stands before every message. */
  readonly name: string;
  /** Least level that is logged; may be changed at any time. */
  level: LogLevel;
  readonly #context: LoggerContext;
  readonly #write: (record: LogRecord) => void;
  readonly #warned = new Set<string>();

  /** @internal Use `accelerator.getLogger`. */
  constructor(name: string, context: LoggerContext, options: LoggerOptions = {}) {
    const variable = env("ACCELERATE_LOG_LEVEL");
    this.name = name;
    this.level = options.level !== undefined
      ? checkLevel(options.level, "level")
      : variable !== undefined
      ? checkLevel(variable, "ACCELERATE_LOG_LEVEL")
      : "info";
    this.#context = context;
    this.#write = options.write ?? ((record) => console.error(formatRecord(record)));
  }

  /** Whether messages of a level are logged. */
  isEnabledFor(level: LogLevel): boolean {
    return LEVELS.indexOf(level) >= LEVELS.indexOf(this.level);
  }

  /** Logs a message. Only with `inOrder` is there anything to wait for. */
  async log(level: LogLevel, message: string, options: LogOptions = {}): Promise<void> {
    const { mainProcessOnly = true, inOrder = false } = options;
    if (!this.isEnabledFor(level)) return;
    const { rank, worldSize, barrier } = this.#context;
    const emit = (site: CallSite | undefined): void =>
      this.#write({ time: new Date(), level, name: this.name, rank, message: `[RANK ${rank}] ${message}`, site });
    if (!inOrder) {
      if (rank === 0 || !mainProcessOnly) emit(userCallSite());
      return;
    }
    const site = userCallSite();
    for (let turn = 0; turn < worldSize; turn++) {
      if (turn === rank) emit(site);
      await barrier();
    }
  }

  /** Logs what helps to find mistakes. */
  debug(message: string, options?: LogOptions): Promise<void> {
    return this.log("debug", message, options);
  }

  /** Logs what happens. */
  info(message: string, options?: LogOptions): Promise<void> {
    return this.log("info", message, options);
  }

  /** Logs what may be wrong. */
  warn(message: string, options?: LogOptions): Promise<void> {
    return this.log("warn", message, options);
  }

  /** Logs what is wrong. */
  error(message: string, options?: LogOptions): Promise<void> {
    return this.log("error", message, options);
  }

  /** Logs a warning, but each message only once. */
  async warnOnce(message: string, options?: LogOptions): Promise<void> {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    await this.log("warn", message, options);
  }
}

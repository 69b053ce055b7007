import { STATUS_WORDS } from '../words.ts';

/** How a stream stands, in a word and a shape. */
export const Status = ({ status, id }: { status: string; id?: string }) => (
  <span className="status" id={id} data-status={status}>{STATUS_WORDS[status] ?? status}</span>
);

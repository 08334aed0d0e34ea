import type { Row } from "../_support/op_table/row.ts";

const rows: Row[] = [];
export default rows;

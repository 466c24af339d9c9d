INSERT INTO t FORMAT JSONEachRow
{"a": "it's; fine", "b": "say \"x;\""}
{"a": "second"};
INSERT INTO t (a, format) FORMAT CSV
1,"a;b",it's
2,"say ""x;""",4"
; -- done
INSERT INTO t FORMAT Values ('x;'), ('y');
INSERT INTO t SELECT a, format FROM u;
INSERT INTO t SELECT * FROM input('a String') FORMAT JSONEachRow {"a": 1};
INSERT INTO t FROM INFILE 'rows.tsv' FORMAT TSV;
SELECT 1 FORMAT TSV;

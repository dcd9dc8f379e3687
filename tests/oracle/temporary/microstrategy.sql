-- MicroStrategy's passes: each pass fills a table, the last joins them; ZZ names, nolog comments.
create temporary table ZZMD00 as
select a11.grp as grp, sum(a11.total_qty) as WJXBFS1, count(*) as WJXBFS2
from items a11
where a11.day >= DATE '2024-01-01'
group by a11.grp
----
create temporary table ZZMD00 as
select a11.grp as grp, sum(a11.qty::bigint) as WJXBFS1, count(*) as WJXBFS2
from items a11
where a11.day >= DATE '2024-01-01'
group by a11.grp

create temporary table ZZMD01 (grp SMALLINT, WJXBFS1 DOUBLE PRECISION, WJXBFS3 NUMERIC(18, 3)) on commit preserve rows

insert into ZZMD01 select a11.grp, avg(a11.avg_ratio), sum(a11.total_price) from items a11 group by a11.grp
----
insert into ZZMD01 select a11.grp, avg(a11.ratio), sum(a11.price) from items a11 group by a11.grp

create index on ZZMD00 (grp)

analyze ZZMD00

select coalesce(pa11.grp, pa12.grp) grp, pa11.WJXBFS1, pa11.WJXBFS2, pa12.WJXBFS1 r, pa12.WJXBFS3 from ZZMD00 pa11 full outer join ZZMD01 pa12 on (pa11.grp = pa12.grp)

select pa11.grp, max(pa11.WJXBFS1), measure(a12.count) as n, sum(a12.total_price), max(pa12.WJXBFS3)
from ZZMD00 pa11 join items a12 on (pa11.grp = a12.grp) left outer join ZZMD01 pa12 on (pa12.grp = a12.grp)
group by pa11.grp
----
select pa11.grp, max(pa11.WJXBFS1), count(*) as n, sum(a12.price), max(pa12.WJXBFS3)
from ZZMD00 pa11 join items a12 on (pa11.grp = a12.grp) left outer join ZZMD01 pa12 on (pa12.grp = a12.grp)
group by pa11.grp

insert into ZZMD00 (grp, WJXBFS2) select p.rank, count(*) from places p where exists (select 1 from ZZMD01 z where z.grp = p.rank) group by p.rank

select * from ZZMD00

delete from ZZMD00 where WJXBFS1 is null

update ZZMD01 set WJXBFS3 = WJXBFS3 * 2 where grp > 0

select a.grp, sum(b.WJXBFS3) from items a join ZZMD01 b on a.grp = b.grp group by a.grp

drop table ZZMD00

drop table if exists ZZMD01

drop table ZZMD01

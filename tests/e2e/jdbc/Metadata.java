import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;

/** Prints what the driver's metadata say of a database: a line a row. */
public class Metadata {
    public static void main(String[] arguments) throws Exception {
        try (Connection c = DriverManager.getConnection(arguments[0], arguments[1], arguments[2])) {
            var data = c.getMetaData();
            print("schema", data.getSchemas());
            print("catalog", data.getCatalogs());
            print("table", data.getTables(null, null, "%", new String[] {"TABLE", "VIEW"}));
            print("column", data.getColumns(null, "public", "%", "%"));
            for (String name : new String[] {"orders", "customers", "payroll", "cities"}) {
                print("primary", data.getPrimaryKeys(null, "public", name));
                print("imported", data.getImportedKeys(null, "public", name));
                print("exported", data.getExportedKeys(null, "public", name));
                print("index", data.getIndexInfo(null, "public", name, false, true));
                print("privilege", data.getTablePrivileges(null, "public", name));
                print("column privilege", data.getColumnPrivileges(null, "public", name, "%"));
                print("best row", data.getBestRowIdentifier(null, "public", name, 0, true));
            }
            print("function", data.getFunctions(null, "public", "%"));
            print("type", data.getUDTs(null, "public", "%", null));
        }
    }

    private static void print(String what, ResultSet rows) throws Exception {
        int width = rows.getMetaData().getColumnCount();
        while (rows.next()) {
            StringBuilder line = new StringBuilder(what);
            for (int i = 1; i <= width; i++) {
                line.append('\t').append(rows.getString(i));
            }
            System.out.println(line);
        }
    }
}

import java.io.StringWriter;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

/**
 * Runs the JDBC driver through its paces and prints a line per step. The server is named by the
 * arguments; what is printed must not depend on which server it is.
 */
public class Clients {
  static final String FLIGHTS =
      "SELECT flight_id, flight_number, carrier, flight_date, scheduled_hour, scheduled_departure,"
          + " month, departure_delay, distance_km, is_cancelled, average_arrival_delay,"
          + " on_time_rate FROM flights WHERE flight_id <= ? ORDER BY flight_id";
  static final String SLOW = "SELECT count(*) FROM generate_series(1, 2000000000)";

  static String url;
  static Properties login = new Properties();

  interface Step {
    Object run(Connection connection) throws Exception;
  }

  static Connection connect(String... more) throws SQLException {
    Properties properties = new Properties();
    properties.putAll(login);
    for (int i = 0; i < more.length; i += 2) properties.setProperty(more[i], more[i + 1]);
    return DriverManager.getConnection(url, properties);
  }

  static void print(String name, Object value) {
    System.out.println(name + "\t" + String.valueOf(value).replace("\n", "\\n"));
  }

  static void step(String name, Step step, String... properties) throws SQLException {
    try (Connection connection = connect(properties)) {
      print(name, step.run(connection));
    } catch (SQLException error) {
      print(name, error.getSQLState() + " " + error.getMessage());
    } catch (Exception error) {
      print(name, error);
    }
  }

  /** All rows of the first columns, each value as text, sorted where the server may choose. */
  static List<String> rows(ResultSet result, int columns) throws SQLException {
    List<String> found = new ArrayList<>();
    while (result.next()) {
      List<String> row = new ArrayList<>();
      int last = columns > 0 ? columns : result.getMetaData().getColumnCount();
      for (int i = 1; i <= last; i++) row.add(result.getString(i));
      found.add(row.toString());
    }
    return found;
  }

  static List<String> rows(ResultSet result) throws SQLException {
    return rows(result, 0);
  }

  static String shape(ResultSetMetaData data) throws SQLException {
    StringBuilder found = new StringBuilder();
    for (int i = 1; i <= data.getColumnCount(); i++) {
      found.append(data.getColumnLabel(i)).append(':').append(data.getColumnTypeName(i)).append(':')
          .append(data.getColumnType(i)).append(':').append(data.getPrecision(i)).append(':')
          .append(data.getScale(i)).append(':').append(data.isSigned(i)).append(' ');
    }
    return found.toString();
  }

  static void metadata() throws SQLException {
    String[] kinds = {"TABLE", "VIEW"};
    step("catalogs", c -> rows(c.getMetaData().getCatalogs()));
    step("schemas", c -> rows(c.getMetaData().getSchemas()));
    step("table types", c -> rows(c.getMetaData().getTableTypes()));
    step("type info", c -> rows(c.getMetaData().getTypeInfo(), 3).size() > 50);
    step("tables", c -> rows(c.getMetaData().getTables(null, "public", "%", kinds)));
    step("tables like", c -> rows(c.getMetaData().getTables("cubewire", null, "fl%", null)));
    step("columns", c -> rows(c.getMetaData().getColumns(null, "public", "%", "%")));
    step("column", c -> rows(c.getMetaData().getColumns(null, null, "flights", "distance\\_km")));
    step("primary key", c -> rows(c.getMetaData().getPrimaryKeys(null, "public", "weather")));
    step("imported keys", c -> rows(c.getMetaData().getImportedKeys(null, "public", "flights")));
    step("exported keys", c -> rows(c.getMetaData().getExportedKeys(null, "public", "airports")));
    step("cross reference", c -> rows(
        c.getMetaData().getCrossReference(null, "public", "planes", null, "public", "flights")));
    step("indexes", c -> rows(
        c.getMetaData().getIndexInfo(null, "public", "flights", false, true), 9));
    step("row identifier", c -> rows(
        c.getMetaData().getBestRowIdentifier(null, "public", "airlines", 2, true)));
    step("version columns", c -> rows(c.getMetaData().getVersionColumns(null, null, "flights")));
    step("functions", c -> rows(c.getMetaData().getFunctions(null, "public", "%"), 3));
    step("procedures", c -> rows(c.getMetaData().getProcedures(null, "public", "%"), 3));
    step("own types", c -> rows(c.getMetaData().getUDTs(null, "public", "%", null), 3));
    step("client information", c -> rows(c.getMetaData().getClientInfoProperties()));
    step("product", c -> {
      DatabaseMetaData data = c.getMetaData();
      return data.getDatabaseProductName() + data.getDatabaseMajorVersion() + data.getUserName()
          + data.getDefaultTransactionIsolation() + data.getSQLKeywords().length()
          + data.getMaxColumnNameLength() + data.getIdentifierQuoteString();
    });
  }

  static void prepared(String name, String... properties) throws SQLException {
    // The fifth execution makes a named statement, and results are binary from then on.
    step("prepared" + name, c -> {
      List<Object> found = new ArrayList<>();
      try (PreparedStatement statement = c.prepareStatement(FLIGHTS)) {
        for (int i = 1; i <= 7; i++) {
          statement.setLong(1, i);
          try (ResultSet result = statement.executeQuery()) {
            if (i == 1) found.add(shape(result.getMetaData()));
            while (result.next()) {
              found.add(result.getLong(1) + " " + result.getInt(2) + " " + result.getString(3) + " "
                  + result.getObject(4) + " " + result.getTimestamp(5).getTime() + " "
                  + result.getTimestamp(6) + " " + result.getShort(7) + " " + result.getObject(8)
                  + " " + result.getBigDecimal(9) + " " + result.getBoolean(10) + " "
                  + result.getBigDecimal(11) + " " + result.getDouble(12));
            }
          }
        }
      }
      return found;
    }, properties);
    step("parameters" + name, c -> {
      List<Object> found = new ArrayList<>();
      String text = "SELECT count(*) FROM flights WHERE flight_id <= 2000 AND distance > ?"
          + " AND carrier = ? AND flight_date >= ? AND scheduled_departure < ? AND is_cancelled = ?"
          + " AND distance_km > ? AND (departure_delay > ? OR departure_delay IS NULL)";
      try (PreparedStatement statement = c.prepareStatement(text)) {
        if (!name.contains("simple")) {
          found.add(statement.getParameterMetaData().getParameterCount());
        }
        for (int i = 1; i <= 7; i++) {
          statement.setInt(1, 100 * i);
          statement.setString(2, i % 2 == 0 ? "UA" : "B6");
          statement.setDate(3, java.sql.Date.valueOf("2013-01-0" + (1 + i % 2)));
          statement.setTimestamp(4, Timestamp.valueOf("2013-01-03 12:00:00"));
          statement.setBoolean(5, false);
          statement.setBigDecimal(6, new java.math.BigDecimal("321.5"));
          if (i == 3) statement.setNull(7, Types.INTEGER);
          else statement.setInt(7, -i);
          found.addAll(rows(statement.executeQuery()));
        }
      }
      return found;
    }, properties);
    step("list" + name, c -> {
      PreparedStatement statement = c.prepareStatement(
          "SELECT carrier FROM airlines WHERE carrier IN (?,?) ORDER BY 1");
      statement.setString(1, "UA");
      statement.setString(2, "AA");
      return rows(statement.executeQuery());
    }, properties);
    step("array" + name, c -> {
      PreparedStatement statement = c.prepareStatement(
          "SELECT carrier FROM airlines WHERE carrier = ANY (?) ORDER BY 1");
      statement.setArray(1, c.createArrayOf("text", new String[] {"UA", "AA"}));
      return rows(statement.executeQuery());
    }, properties);
    step("values" + name, c -> {
      PreparedStatement statement = c.prepareStatement("SELECT ARRAY[1, NULL, 3],"
          + " '{\"a\":1}'::json, '1 day 02:03'::interval, 'x'::name, NULL, time '12:34:56',"
          + " 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, encode('\\x00ff'::bytea, 'hex'), 1.50::numeric,"
          + " 'NaN'::float8, timestamptz '2024-02-29 12:00Z'");
      List<Object> found = new ArrayList<>();
      for (int i = 0; i < 6; i++) found = new ArrayList<>(rows(statement.executeQuery()));
      return found;
    }, properties);
    step("error" + name, c -> rows(c.createStatement().executeQuery("SELECT nope FROM flights")),
        properties);
    step("batch" + name, c -> {
      Statement statement = c.createStatement();
      boolean more = statement.execute("SELECT 1 AS a; SELECT count(*) FROM airlines; SELECT 3");
      List<Object> found = new ArrayList<>();
      while (more) {
        found.addAll(rows(statement.getResultSet()));
        more = statement.getMoreResults();
      }
      return found;
    }, properties);
  }

  static void cursors() throws SQLException {
    for (int size : new int[] {1, 7, 50}) {
      step("fetch size " + size, c -> {
        c.setAutoCommit(false);
        PreparedStatement statement = c.prepareStatement(FLIGHTS);
        statement.setFetchSize(size);
        statement.setLong(1, 60);
        int sum = 0;
        try (ResultSet result = statement.executeQuery()) {
          while (result.next()) sum += result.getInt(1);
        }
        statement.setMaxRows(5);
        sum += rows(statement.executeQuery()).size();
        c.commit();
        return sum;
      });
    }
    step("two at once", c -> {
      c.setAutoCommit(false);
      PreparedStatement first = c.prepareStatement(FLIGHTS);
      PreparedStatement second = c.prepareStatement("SELECT faa FROM airports ORDER BY faa");
      first.setFetchSize(3);
      second.setFetchSize(4);
      first.setLong(1, 20);
      ResultSet left = first.executeQuery();
      ResultSet right = second.executeQuery();
      List<String> found = new ArrayList<>();
      while (left.next() && right.next()) found.add(left.getString(1) + right.getString(1));
      return found;
    });
    step("scroll", c -> {
      Statement statement =
          c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY);
      ResultSet result = statement.executeQuery("SELECT carrier FROM airlines ORDER BY 1");
      result.last();
      String last = result.getString(1);
      result.absolute(3);
      return last + result.getString(1) + result.getRow();
    });
  }

  static void transactions() throws SQLException {
    step("savepoints", c -> {
      c.setAutoCommit(false);
      Statement statement = c.createStatement();
      statement.executeQuery("SELECT 1");
      Savepoint savepoint = c.setSavepoint();
      String state = "";
      try {
        statement.executeQuery("SELECT nope FROM airlines");
      } catch (SQLException error) {
        state = error.getSQLState();
      }
      c.rollback(savepoint);
      List<String> found = rows(statement.executeQuery("SELECT count(*) FROM airlines"));
      c.releaseSavepoint(savepoint);
      c.commit();
      return state + found;
    });
    step("autosave", c -> {
      c.setAutoCommit(false);
      Statement statement = c.createStatement();
      String state = "";
      try {
        statement.executeQuery("SELECT nope FROM airlines");
      } catch (SQLException error) {
        state = error.getSQLState();
      }
      return state + rows(statement.executeQuery("SELECT count(*) FROM airlines"));
    }, "autosave", "always");
    step("isolation", c -> {
      c.setReadOnly(true);
      c.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
      int before = c.getTransactionIsolation();
      c.setAutoCommit(false);
      List<String> found = rows(c.createStatement().executeQuery("SHOW transaction_isolation"));
      c.rollback();
      c.setSchema("public");
      return before + c.getSchema() + found + c.isReadOnly() + c.isValid(3);
    });
    step("time zone", c -> {
      Statement statement = c.createStatement();
      statement.execute("SET TimeZone TO 'America/New_York'");
      return rows(statement.executeQuery(
          "SELECT scheduled_hour, scheduled_hour::date FROM flights WHERE flight_id <= 3 ORDER BY 1"));
    });
    step("copy", c -> {
      CopyManager copies = c.unwrap(PGConnection.class).getCopyAPI();
      StringWriter text = new StringWriter();
      long count = copies.copyOut("COPY (SELECT * FROM airlines ORDER BY 1) TO STDOUT CSV", text);
      return count + text.toString();
    });
  }

  static void stopping() throws SQLException {
    step("query timeout", c -> {
      Statement statement = c.createStatement();
      statement.setQueryTimeout(1);
      try {
        rows(statement.executeQuery(SLOW));
        return "not cancelled";
      } catch (SQLException error) {
        statement.setQueryTimeout(0);
        return error.getSQLState() + rows(statement.executeQuery("SELECT count(*) FROM airlines"));
      }
    });
    step("cancel", c -> {
      Statement statement = c.createStatement();
      Thread canceller = new Thread(() -> {
        try {
          Thread.sleep(300);
          statement.cancel();
        } catch (Exception error) {
          throw new RuntimeException(error);
        }
      });
      canceller.start();
      try {
        rows(statement.executeQuery(SLOW));
        return "not cancelled";
      } catch (SQLException error) {
        canceller.join();
        return error.getSQLState() + rows(statement.executeQuery("SELECT count(*) FROM airlines"));
      }
    });
  }

  public static void main(String[] arguments) throws Exception {
    url = arguments[0];
    login.setProperty("user", arguments[1]);
    if (arguments.length > 2) login.setProperty("password", arguments[2]);
    TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
    metadata();
    prepared("");
    prepared(" binary at once", "prepareThreshold", "-1");
    prepared(" simple", "preferQueryMode", "simple");
    prepared(" text", "binaryTransfer", "false", "prepareThreshold", "1");
    cursors();
    transactions();
    stopping();
    if (arguments.length > 2) {
      step("encrypted", c -> rows(c.createStatement().executeQuery("SELECT 1")),
          "sslmode", "require");
    }
    print("end", "");
  }
}

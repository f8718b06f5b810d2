"""Plain sentences about nothing in particular, of our own."""

SENTENCES = tuple(
    """
The train to the coast leaves at nine in the morning and arrives shortly before noon.
She put the plates on the shelf and closed the door of the cupboard behind them.
In the evening the wind turned, and the boats came back to the harbour one after the other.
Most of the houses on this street were built of brick more than a hundred years ago.
He read the letter twice, folded it and laid it between the pages of his book.
The path runs along the river for a mile before it climbs the hill to the village.
After the meeting they drank a cup of tea and talked about the weather of the last weeks.
The children had drawn the sun, a house and a tree on the wall with a piece of chalk.
A baker has to get up early, because people want their bread warm for breakfast.
On the table lay a map of the town, a pencil and a pair of old glasses.
The museum is closed on Mondays, but the garden behind it can be visited every day.
It had rained all night, and the water stood in the fields on both sides of the road.
My uncle keeps bees, and every autumn he gives each of us a jar of honey.
The lamp in the hall went out, so she found the stairs by holding on to the wall.
At the market they sell apples, cheese and flowers from the farms around the lake.
The teacher wrote the date on the board and asked the class to open their books.
Two men carried the piano up to the second floor while a third held the doors.
When the snow melts, the stream behind the mill is loud enough to be heard from the church.
The library has bought new chairs, and the old ones stand in the yard for anyone to take.
He had left his coat in the office, so he walked home quickly and kept his hands in his pockets.
The clock in the kitchen is five minutes fast, which nobody in the family has ever changed.
From the top of the tower you can see the bridge, the station and the roofs of the old town.
The shop at the corner sells paper, ink and stamps, and it repairs pens as well.
Every summer they spent two weeks in a small house by the sea and went swimming in the morning.
The cat slept on the chair near the window until the sun had moved to the other side of the room.
A letter from the bank had come, but she did not open it before the weekend.
The road was being repaired, so the bus took the way through the forest and was late.
In his garden grow beans, carrots and a row of tall yellow flowers along the fence.
They painted the door green because there had been some green paint left from the boat.
The old man told us how the valley had looked before the dam was built.
There was bread, butter and a bowl of soup on the table, and nobody said a word.
The film was longer than we had thought, and the last train had already gone.
She learned to play the violin from her neighbour, who lived on the floor above.
The farmer closed the gate, whistled for the dog and walked back across the field.
On Sunday the streets are quiet, and one can hear the bells from the other side of the river.
The carpenter measured the board, drew a line on it and reached for his saw.
We waited under the roof of the station until the rain had become a little lighter.
The second room is smaller than the first, but it has a window to the garden.
He kept the tickets of all his journeys in a wooden box under the bed.
The ship carried wool and timber to the north and came back with fish and salt.
""".strip().splitlines()
)
